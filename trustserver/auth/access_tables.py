"""Read the tables of an access file that say who a subject is: `[[issuer]]`, `[[workload]]`, `[[certificate]]`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from trustdata.errors import shown
from trustserver.errors import StartRefused

_NAME: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
_LONGEST_NAME: Final = 64


def tables(document: Mapping[str, Any], key: str, most: int, file: Path) -> list[tuple[str, Mapping[str, Any]]]:
    tables = document.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(each, Mapping) for each in tables):
        raise StartRefused(what=str(file), reason=f"{key} must be written as [[{key}]]")
    if len(tables) > most:
        raise StartRefused(what=str(file), reason=f"has more than {most} [[{key}]]")
    return [(f"[[{key}]] {number}", table) for number, table in enumerate(tables, start=1)]


class Table:
    """One table of an access file. Its methods raise StartRefused, which names the table."""

    def __init__(self, table: Mapping[str, Any], *, place: str, file: Path) -> None:
        self.table, self.file = table, file
        self._place = place

    def refusal(self, reason: str) -> StartRefused:
        return StartRefused(what=str(self.file), reason=f"{self._place} {reason}")

    def check_keys(self, known: frozenset[str]) -> None:
        unknown = sorted(set(self.table) - known)
        if unknown:
            raise self.refusal(f"has settings that do not exist: {shown(', '.join(unknown), 200)}")

    def text(self, key: str, *, required: bool = True) -> str:
        value = self.table.get(key, "")
        if not isinstance(value, str) or (required and not value):
            raise self.refusal(f"needs {key}, a text")
        return value

    def name(self) -> str:
        name = self.text("name")
        if not _NAME.issuperset(name) or len(name) > _LONGEST_NAME:
            raise self.refusal(f"needs a name of at most {_LONGEST_NAME} letters, digits, - _ and .")
        return name
