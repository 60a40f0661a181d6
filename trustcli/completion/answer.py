"""Answer the scripts of the shells: `trust __complete` and `trust __complete_line`.

Somebody is in the middle of typing. So nothing but suggestions is ever printed, and the exit status is 0.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from trustcli.completion.grammar import TRUST, Words
from trustcli.completion.shell_line import typed_line
from trustcli.completion.suggestions import NOTHING, Suggestions, suggest
from trustcli.config.global_options import GlobalOptions, extract
from trustcli.config.line_ends import plain_environment
from trustcli.errors import UsageError

if TYPE_CHECKING:
    from trustcli.completion.known_here import KnownHere

WORDS: Final = "__complete"
"""Followed by the words after the program's name. Also what Docker's CLI calls its plugins with."""
LINE: Final = "__complete_line"
"""Followed by the text before the cursor, and bash's word breaks."""


def answer(argv: Sequence[str], grammar: Words = TRUST) -> int:
    """Print suggestions, and return 0. `argv`: one of the two commands, with its words."""
    try:
        text = _answered(argv, grammar).text()
    except Exception:  # noqa: BLE001 - an error would be printed into the line that somebody types
        text = NOTHING.text()
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python says so at its end
    return 0


def _answered(argv: Sequence[str], grammar: Words) -> Suggestions:
    command, *words = argv
    if command == WORDS:
        return suggest(words, lambda: _known(words), grammar)
    line, breaks = words
    typed = typed_line(line, breaks)
    found = suggest(typed.words, lambda: _known(typed.words), grammar)
    return Suggestions(words=tuple(word[typed.kept :] for word in found.words), directive=found.directive)


def _known(words: Sequence[str]) -> KnownHere | None:
    """Return what this machine knows, by the global options before the word that is being typed."""
    from trustcli.completion.known_here import UNREADABLE, KnownHere
    from trustcli.config.settings import load_settings

    try:
        options, _ = extract(words[:-1])
    except UsageError:
        options = GlobalOptions()
    try:
        return KnownHere(load_settings(options, plain_environment(os.environ), interactive=False))
    except UNREADABLE:
        return None
