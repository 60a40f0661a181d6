"""Text as CSV: fields are quoted as in RFC 4180; lines end with a line feed, as all that the program prints.

Spreadsheets take a cell that begins with one of `= + - @` for a formula. Such a cell, whose text somebody else chose,
gets an apostrophe in front, which they do not show.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

_FORMULA: Final = ("=", "+", "-", "@", "\t")


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Return rows as lines; no cell is a formula."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([_harmless(cell) for cell in row] for row in rows)
    return written.getvalue()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
