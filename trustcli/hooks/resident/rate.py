"""Allow so many events in a second, and a few more at once."""

from __future__ import annotations

import threading
from typing import Final

_BURST_SECONDS: Final = 10.0


class Rate:
    """A bucket that fills with `per_second` tokens, up to ten seconds' worth. Safe for threads."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._most = max(1.0, per_second * _BURST_SECONDS)
        self._left = self._most
        self._filled: float | None = None
        self._lock = threading.Lock()

    def allows(self, now: float) -> bool:
        """Take one token, if there is one. `now`: seconds of a clock that does not go back."""
        with self._lock:
            since = 0.0 if self._filled is None else max(0.0, now - self._filled)
            self._left = min(self._most, self._left + since * self._per_second)
            self._filled = now
            if self._left < 1.0:
                return False
            self._left -= 1.0
            return True
