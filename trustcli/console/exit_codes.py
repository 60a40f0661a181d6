"""The exit statuses of the commands.

0 done · 1 anything else · 2 wrong usage · 3 not signed · 4 not trusted · 5 refused by policy · 6 cannot reach
7 refused by the server, or the tag was changed · 8 key or passphrase · 130 interrupted
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

DONE: Final = 0
OTHER: Final = 1
USAGE: Final = 2
NOT_SIGNED: Final = 3
NOT_TRUSTED: Final = 4
POLICY: Final = 5
UNREACHABLE: Final = 6
REFUSED: Final = 7
KEYS: Final = 8
INTERRUPTED: Final = 130
"""The status after Ctrl-C, as in shells."""

_WORST_FIRST: Final = (NOT_TRUSTED, POLICY, NOT_SIGNED, REFUSED, KEYS, UNREACHABLE, OTHER, USAGE, DONE)


def worst(statuses: Iterable[int]) -> int:
    """Return the worst of several exit statuses."""
    found = set(statuses) or {DONE}
    return next(status for status in _WORST_FIRST if status in found)
