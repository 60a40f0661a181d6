"""Count failures by user or address, within a span of time and in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

MAX_KEYS: Final = 4096
"""How many keys are remembered; the one that failed longest ago is dropped first."""


class Failures:
    """Says of a key, such as an address or the name of a user, whether it has failed too often lately."""

    def __init__(self, seconds: Callable[[], float], *, limit: int, within: float) -> None:
        """Make it. `seconds`: a clock that only goes forward. `limit`: failures in `within` seconds."""
        self._seconds = seconds
        self._limit = limit
        self._within = within
        self._times: OrderedDict[str, list[float]] = OrderedDict()

    def count(self, key: str) -> None:
        """Count a failure. Those beyond the limit are not remembered: they change nothing."""
        times = self._recent(key)
        self._times[key] = [*times[-self._limit :], self._seconds()]
        self._times.move_to_end(key)
        if len(self._times) > MAX_KEYS:
            self._times.popitem(last=False)

    def too_many(self, key: str, *, pending: int = 0) -> bool:
        """Return whether the key has failed too often, if `pending` attempts that are under way fail too."""
        return len(self._recent(key)) + pending >= self._limit

    def _recent(self, key: str) -> list[float]:
        since = self._seconds() - self._within
        times = [at for at in self._times.get(key, ()) if at > since]
        if not times:
            self._times.pop(key, None)
        return times
