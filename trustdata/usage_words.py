"""What parsers of command lines refuse, in one form of words for both programs: Typer's and argparse's differ."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from trustdata.suggestion import one_of


def _absent(kind: str, word: str, meant: str | None) -> str:
    first = _bare(meant.partition(",")[0]) if meant else ""
    return f"there is no {kind} '{word}'" + (f"; did you mean '{first}'?" if first else "")


def _option(found: re.Match[str]) -> str:
    return _absent("option", found[1], found[2] or found[3])


def _too_many(words: str) -> str:
    option = next((word.partition("=")[0] for word in words.split() if word.startswith("-")), None)
    return _absent("option", option, None) if option else f"there is a word too many: {words}"


def _unknown(option: str, word: str, choices: str) -> str:
    return f"{_bare(option)} {word} is unknown{one_of(word, map(_bare, choices.split(',')))}"


def _bare(text: str) -> str:
    return text.replace("'", "").strip()


_FORMS: Final[tuple[tuple[str, Callable[[re.Match[str]], str]], ...]] = (
    (r"No such command '(.+?)'\.?(?: Did you mean (.+)\?)?", lambda m: _absent("command", m[1], m[2])),
    (r"No such option: (\S+?)(?: (?:\(Possible options: (.+)\)|Did you mean (.+)\?))?", _option),
    (r"Missing (?:argument|parameter) '(.+)'", lambda m: f"{m[1]} is missing"),
    (r"Missing option (.+)", lambda m: f"{_bare(m[1])} is missing"),
    (r"Invalid value for (.+?): (?:Value error, )?'(.+?)' is not one of (.+)", lambda m: _unknown(m[1], m[2], m[3])),
    (r"Invalid value for (.+?): Input should be a valid integer.*", lambda m: f"{_bare(m[1])} must be a whole number"),
    (
        r"Invalid value for (.+?): (?:Value error, )?(.+)",
        lambda m: f"{_bare(m[1])} cannot be used: {m[2][:1].lower()}{m[2][1:]}",
    ),
    (r"Option '?(-[^' ]+)'? requires (?:an argument|\d+ arguments)", lambda m: f"option {m[1]} needs a value"),
    (r"argument (-[^ /]+)(?:/\S+)?: expected .*argument.*", lambda m: f"option {m[1]} needs a value"),
    (r"Option '?(-[^' ]+)'? does not take a value", lambda m: f"option {m[1]} takes no value"),
    (r"argument (-[^ /]+)(?:/\S+)?: ignored explicit argument .*", lambda m: f"option {m[1]} takes no value"),
    (r"ambiguous option: (\S+) could match (.+)", lambda m: f"there is no option '{m[1].partition('=')[0]}': {m[2]}?"),
    (
        r"(?:Got unexpected extra argument(?:s|\(s\))? \((.+)\)|unrecognized arguments: (.+))",
        lambda m: _too_many(m[1] or m[2]),
    ),
)


def usage_sentence(words: str) -> str:
    """Return a parser's refusal as a sentence of ours; one that is not known stays as it is, without its full stop."""
    words = " ".join(words.split()).removesuffix(".")
    for form, sentence in _FORMS:
        if found := re.fullmatch(form, words):
            return sentence(found)
    return words


def command_meant(sentence: str) -> str:
    """Return the command that may have been meant where a sentence of `usage_sentence` says that there is none."""
    found = re.fullmatch(r"there is no command '.+'; did you mean '(\S+)'\?", sentence)
    return found[1] if found else ""
