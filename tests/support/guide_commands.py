"""A guide's console blocks as what they say they are: commands that can be typed, and what they print."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TOP: Final = Path(__file__).resolve().parents[2]
_FENCE: Final = re.compile(r"( *)```(\w*)$")
_HEADING: Final = re.compile(r"#+ (.+)$")
_HERE_DOCUMENT: Final = re.compile(r"<<'?(\w+)'?")


@dataclass(frozen=True, kw_only=True)
class Typed:
    """One command, of one line or several, and the lines that the guide shows after it."""

    guide: str
    heading: str
    command: str
    shown: str


def guides() -> list[str]:
    """Every document with a console block: its path from the top of the source."""
    documents = [path.relative_to(TOP).as_posix() for path in (*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md"))]
    return [document for document in sorted(documents) if _blocks(document, "console")]


def commands(guide: str) -> list[Typed]:
    """Every command of every console block, in order."""
    return [typed for heading, lines in _blocks(guide, "console") for typed in _of_block(guide, heading, lines)]


def files(guide: str, kind: str) -> list[str]:
    """The contents of files of a kind that a guide shows, `toml` for instance."""
    return ["\n".join([*lines, ""]) for _, lines in _blocks(guide, kind)]


def file_in(guide: str, name: str) -> str:
    """The file that a guide lets its reader make with `cat > NAME <<'END'`."""
    (found,) = [typed for typed in commands(guide) if typed.command.startswith(f"cat > {name} <<'END'\n")]
    return found.command.split("\n", 1)[1].removesuffix("END")


def _blocks(guide: str, kind: str) -> list[tuple[str, list[str]]]:
    """The lines of each block of a kind, without what it is indented by, and the heading that it stands under."""
    found: list[tuple[str, list[str]]] = []
    heading, fence, indent = "", None, 0
    for line in (TOP / guide).read_text(encoding="utf-8").splitlines():
        if match := _FENCE.match(line):
            fence, indent = (match[2] if fence is None else None), len(match[1])
            if fence == kind:
                found.append((heading, []))
        elif fence == kind:
            found[-1][1].append(line[indent:])
        elif fence is None and (match := _HEADING.match(line)):
            heading = match[1]
    return found


def _of_block(guide: str, heading: str, lines: list[str]) -> Iterator[Typed]:
    while lines:
        first = lines.pop(0)
        assert first.startswith("$ "), f"{guide}: output before a command: {first}"
        typed = [first.removeprefix("$ ")]
        document = _HERE_DOCUMENT.search(first)
        while lines and (typed[-1].endswith("\\") or (document and typed[-1] != document[1])):
            typed.append(lines.pop(0))
        shown = []
        while lines and not lines[0].startswith("$ "):
            shown.append(lines.pop(0))
        yield Typed(guide=guide, heading=heading, command="\n".join(typed), shown="\n".join(shown))
