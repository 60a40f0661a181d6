"""A guide's console blocks as what they say they are: commands that can be typed, and what they print."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

GUIDES: Final = Path(__file__).resolve().parents[2] / "docs"
_CONSOLE: Final = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HERE_DOCUMENT: Final = re.compile(r"<<'(\w+)'")


@dataclass(frozen=True, kw_only=True)
class Typed:
    """One command, of one line or several, and the lines that the guide shows after it."""

    command: str
    shown: str


def commands(guide: Path) -> list[Typed]:
    """Every command of every console block, in order."""
    return [typed for block in _CONSOLE.findall(guide.read_text(encoding="utf-8")) for typed in _of_block(block)]


def _of_block(block: str) -> Iterator[Typed]:
    lines = block.splitlines()
    while lines:
        first = lines.pop(0)
        assert first.startswith("$ "), f"output before a command: {first}"
        typed = [first.removeprefix("$ ")]
        document = _HERE_DOCUMENT.search(first)
        while lines and (typed[-1].endswith("\\") or (document and typed[-1] != document[1])):
            typed.append(lines.pop(0))
        shown = []
        while lines and not lines[0].startswith("$ "):
            shown.append(lines.pop(0))
        yield Typed(command="\n".join(typed), shown="\n".join(shown))


def file_in(guide: Path, name: str) -> str:
    """The file that a guide lets its reader make with `cat > NAME <<'END'`."""
    (found,) = [typed for typed in commands(guide) if typed.command.startswith(f"cat > {name} <<'END'\n")]
    return found.command.split("\n", 1)[1].removesuffix("END")


def plain(text: str) -> str:
    """What two runs of the same commands have in common: digests, key ids, versions and columns differ."""
    text = re.sub(r"\b[0-9a-f]{64}\b", "HASH", text)
    text = re.sub(r"\([0-9a-f]{12}\)", "(KEY)", text)
    text = re.sub(r"(?<![\w.:/])\d+\b", "N", text)
    return "\n".join(re.sub(r" {2,}", "  ", line) for line in text.strip().splitlines())
