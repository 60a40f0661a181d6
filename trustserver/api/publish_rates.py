"""Limit how often a collection is published to, and how often one user publishes: stored publishes in a minute.

Only what was stored counts. So nobody uses up the share of a collection who may not sign for it.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Final

from trustserver.errors import Overloaded

_MINUTE: Final = 60.0
_REMEMBERED: Final = 10_000
"""For how many owners the publishes are counted. The one that has published least recently is forgotten first."""


class PublishRate:
    """Counts publishes by owner. `limit`: how many in a minute; 0 for no limit. `what`: names them in errors."""

    def __init__(self, limit: int, *, what: str, clock: Callable[[], datetime]) -> None:
        self._limit = limit
        self._what = what
        self._clock = clock
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, owner: str) -> None:
        """Check that an owner may publish once more. Raises: Overloaded, which says when."""
        spent = self._now(owner)
        if self._limit and spent > self._limit - 1:
            seconds = math.ceil((spent - self._limit + 1) * _MINUTE / self._limit)
            raise Overloaded(what=self._what, seconds=seconds)

    def count(self, owner: str) -> None:
        """Count a publish that was stored."""
        if not self._limit:
            return
        self._spent[owner] = (self._clock().timestamp(), self._now(owner) + 1)
        self._spent.move_to_end(owner)
        if len(self._spent) > _REMEMBERED:
            self._spent.popitem(last=False)

    def _now(self, owner: str) -> float:
        """Return how many publishes count at this time: with each moment they become fewer."""
        at, spent = self._spent.get(owner, (0.0, 0.0))
        passed = max(0.0, self._clock().timestamp() - at)
        return max(0.0, spent - passed * self._limit / _MINUTE)
