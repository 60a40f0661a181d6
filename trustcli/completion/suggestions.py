"""Suggest words for the place of a command line at which somebody types."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from keys.record import record, replace
from trustcli.completion.grammar import (
    FILE,
    FLAG,
    FOLDER,
    FREE,
    GLOBAL,
    IMAGE,
    KEY,
    KEY_OR_FILE,
    NAME,
    SERVER,
    SIGNER,
    TRUST,
    Value,
    Words,
)

if TYPE_CHECKING:
    from trustcli.completion.known_here import KnownHere

NO_SPACE: Final = 2
NO_FILES: Final = 4
FOLDERS: Final = 16
"""Directives of Cobra's protocol, which Docker's CLI speaks with its plugins (spf13/cobra, completions.go)."""

MOST: Final = 500
"""How many suggestions are given; of more, only how they begin."""
_HARMLESS: Final = re.compile(r"[A-Za-z0-9_.:/\[\]-]+")
"""What no shell reads as anything else, and no terminal as a command. Every name and tag of an image is such a word."""


@record
class Suggestions:
    """Words that may stand in place of the one that is being typed, sorted, and Cobra's directive for the shell."""

    words: tuple[str, ...] = ()
    directive: int = NO_FILES

    def text(self) -> str:
        """Return the lines that shells read: the words, and the directive at the end."""
        return "".join(f"{word}\n" for word in (*self.words, f":{self.directive}"))


NOTHING: Final = Suggestions()


def suggest(words: Sequence[str], known: Callable[[], KnownHere | None], grammar: Words = TRUST) -> Suggestions:
    """Return what may be typed at the end of a command line.

    `words`: those after the program's name; the last is the one that is being typed, perhaps empty. `known`: what this
    machine knows, asked for only where needed; None if its settings cannot be read.
    """
    *before, current = words or [""]
    place = _place(before, grammar)
    if place is None:
        return NOTHING
    if place.awaited is not None:
        return _values(place.awaited, current, place, known)
    option, equals, value = current.partition("=")
    options = {**place.command.options, **GLOBAL}
    if current.startswith("-") and not place.only_arguments:
        if not equals:
            return _fitting(options, current)
        found = _values(options.get(option, FREE), value, place, known)
        return replace(found, words=tuple(f"{option}={word}" for word in found.words))
    arguments = place.command.arguments
    below = place.command.below if not place.given else {}
    if not arguments:
        return _fitting(below, current)
    found = _values(arguments[min(len(place.given), len(arguments) - 1)], current, place, known)
    return _fitting([*below, *found.words], current) if below else found


@record
class _Place:
    """Where in a command line somebody is: behind these arguments of a command.

    `awaited`: what the value of the option before it is. `only_arguments`: whether options have ended.
    """

    command: Words
    given: tuple[str, ...]
    awaited: Value | None
    only_arguments: bool


def _place(before: Sequence[str], grammar: Words) -> _Place | None:
    """Return where the words lead; None if there is no such command."""
    command, given, awaited, only_arguments = grammar, list[str](), None, False
    for word in before:
        if awaited is not None:
            awaited = None
        elif word == "--" and not only_arguments:
            only_arguments = True
        elif word.startswith("-") and word != "-" and not only_arguments:
            kind = {**command.options, **GLOBAL}.get(word, FLAG)
            awaited = kind if kind != FLAG else None
        elif word in command.below and not given:
            command = command.below[word]
        elif command.arguments:
            given.append(word)
        else:
            return None
    return _Place(command=command, given=tuple(given), awaited=awaited, only_arguments=only_arguments)


def _values(kind: Value, current: str, place: _Place, known: Callable[[], KnownHere | None]) -> Suggestions:
    if isinstance(kind, tuple):
        return _fitting(kind, current)
    if kind == FILE:
        return Suggestions(directive=0)
    if kind == FOLDER:
        return Suggestions(directive=FOLDERS)
    here = known() if kind in {NAME, IMAGE, SIGNER, KEY, KEY_OR_FILE, SERVER} else None
    if here is None:
        return Suggestions(directive=0) if kind == KEY_OR_FILE else NOTHING
    if kind == IMAGE:
        return _images(current, here)
    lists: Mapping[str, Callable[[], Iterable[str]]] = {
        NAME: here.names,
        SIGNER: lambda: here.signers(place.given),
        KEY: here.keys,
        KEY_OR_FILE: here.keys,
        SERVER: here.servers,
    }
    found = _fitting((word for word in lists[kind]() if not word.startswith("-")), current)
    return Suggestions(directive=0) if kind == KEY_OR_FILE and not found.words else found


def _images(current: str, here: KnownHere) -> Suggestions:
    """Suggest names, and the tags of a name that is typed already."""
    name, colon, _ = current.rpartition(":")
    if colon and "/" not in current[len(name) :]:
        tagged = _fitting([f"{name}:{tag}" for tag in here.tags(name)], current)
        if tagged.words:
            return tagged
    names = _fitting(here.names(), current)
    if names.words != (current,):
        return replace(names, directive=NO_FILES | NO_SPACE)  # a tag may follow
    return _fitting([current, *(f"{current}:{tag}" for tag in here.tags(current))], current)


def _fitting(words: Iterable[str], current: str) -> Suggestions:
    """Return the words that begin so; only how they begin, if there are too many to read."""
    found = {word for word in words if word.startswith(current) and _HARMLESS.fullmatch(word)}
    if len(found) <= MOST:
        return Suggestions(words=tuple(sorted(found)))
    length = len(current) + 1
    beginnings = {word[:length] for word in found}
    while len(longer := {word[: length + 1] for word in found}) <= MOST:
        length, beginnings = length + 1, longer
    return Suggestions(words=tuple(sorted(beginnings)), directive=NO_FILES | NO_SPACE)
