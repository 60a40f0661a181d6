"""Help of a command, in one form for all: usage, what it does, arguments, options, examples, and global options."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 80
"""Columns of the text; nothing in it is cut."""
_INDENT: Final = "  "
_MOST_TERM: Final = 28
"""Columns of a term; what explains a longer one begins on the next line."""
GLOBAL_OPTIONS: Final = (
    "--server URL",
    "--home DIR",
    "--cacert FILE",
    "--pin REF",
    "--tofu",
    "--lock FILE",
    "--insecure-registry HOST",
    "--json",
    "--non-interactive",
    "--platform-secrets",
    "--verbose",
)
"""The options that may stand before and after every command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HelpRow:
    """A term, such as `--names FILE`, and what explains it."""

    term: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandHelp:
    """What is said of one command. `usage`: how it is called. `commands`: those of a group."""

    usage: str
    about: str
    arguments: Sequence[HelpRow] = ()
    options: Sequence[HelpRow] = ()
    commands: Sequence[HelpRow] = ()
    examples: Sequence[str] = ()

    def text(self) -> str:
        """Return the whole text, with a line end at its end."""
        parts = [
            _wrapped(f"Usage: {self.usage}", _INDENT * 4),
            _wrapped(self.about, "", _INDENT),
            _table("Arguments", self.arguments),
            _table("Options", self.options),
            _table("Commands", self.commands),
            _lines("Examples", self.examples),
            f"Before or after every command:\n{_wrapped(', '.join(GLOBAL_OPTIONS), _INDENT, _INDENT)}",
        ]
        return "\n\n".join(part for part in parts if part) + "\n"


def _wrapped(text: str, later: str, first: str = "") -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=later or first,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _table(heading: str, rows: Sequence[HelpRow]) -> str:
    if not rows:
        return ""
    width = min(_MOST_TERM, max(len(row.term) for row in rows))
    return "\n".join([f"{heading}:", *(line for row in rows for line in _row(row, width))])


def _row(row: HelpRow, width: int) -> Iterator[str]:
    column = " " * (len(_INDENT) * 2 + width)
    explained = _wrapped(row.text, column, column).removeprefix(column) if row.text else ""
    if len(row.term) > width and explained:
        yield f"{_INDENT}{row.term}"
        yield f"{column}{explained}"
    else:
        yield f"{_INDENT}{row.term.ljust(width)}{_INDENT}{explained}".rstrip()


def _lines(heading: str, lines: Sequence[str]) -> str:
    return "\n".join([f"{heading}:", *(f"{_INDENT}{line}" for line in lines)]) if lines else ""
