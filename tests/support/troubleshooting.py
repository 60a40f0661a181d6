"""The page docs/guides/troubleshooting.md as a test reads it: commands, and every line that they must say."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.trust_program import Ran, TrustUser

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "troubleshooting.md"
_SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_WORD = re.compile(r"(?<![A-Z_.])[A-Z]{4,}(?![A-Z_])")
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Told:
    """One command of the page (without `trust`), and the lines that stand below it."""

    words: tuple[str, ...]
    lines: tuple[str, ...]


def sections() -> dict[str, tuple[Told, ...]]:
    """Every failure of the page by its heading."""
    return {match[1]: _commands(match[2]) for match in _SECTION.finditer(PAGE.read_text(encoding="utf-8"))}


def _commands(text: str) -> tuple[Told, ...]:
    found: list[Told] = []
    for block in _BLOCK.findall(text):
        for part in re.split(r"^\$ trust ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.splitlines()
            found.append(Told(words=tuple(shlex.split(command)), lines=tuple(lines)))
    return tuple(found)


def replay(heading: str, person: TrustUser, values: Mapping[str, str]) -> list[Ran]:
    """Run a section's commands as this person; every line of the page must be a line of the answer.

    `values`: what the words in capitals stand for. The program may say them, too, where it does not know better.
    """
    ran = []
    for told in sections()[heading]:
        words = [_WORD.sub(lambda match: values.get(match[0], match[0]), word) for word in told.words]
        done = person.run(*words, expect=None)
        said = (done.stdout + done.stderr).splitlines()
        for line in told.lines:
            assert any(_pattern(line, values).fullmatch(row) for row in said), (
                f"{heading}: the page has\n{line}\nand the program says\n{done}"
            )
        ran.append(done)
    return ran


def _pattern(line: str, values: Mapping[str, str]) -> re.Pattern[str]:
    """The line, with the words in capitals for their values and anything for an ellipsis."""
    text, place = "", 0
    for match in _WORD.finditer(line):
        text += re.escape(line[place : match.start()])
        value = values.get(match[0])
        text += re.escape(match[0]) if value is None else f"(?:{re.escape(value)}|{match[0]})"
        place = match.end()
    text += re.escape(line[place:])
    return re.compile(text.replace(re.escape("…"), ".*"))
