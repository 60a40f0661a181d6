"""The bar that shows on a terminal how far a run has got."""

from __future__ import annotations

from typing import Final

_CELLS: Final = 30


def bar(doing: str, done: int, *, of: int) -> str:
    """Return one line: a bar, and how many of all are done. `doing`: what is done, in a word."""
    filled = _CELLS * done // of if of else _CELLS
    return f"{doing} [{'#' * filled}{'.' * (_CELLS - filled)}] {done} of {of}"
