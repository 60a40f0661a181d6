"""Wait between two attempts to publish, for a random time, so that publishers do not retry at the same moments."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final

_SILENT_SECONDS: Final = 5.0
"""How long a publisher waits for others before it tells the user."""


class JitteredBackoff:
    """The `Backoff` of a real publisher. `notice`: tells the user, once, why it waits."""

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._start = time.monotonic()
        self._notice: Callable[[str], None] | None = notice

    def elapsed(self) -> float:
        """Return the seconds since this object was made."""
        return time.monotonic() - self._start

    def pause(self, longest: float, *, least: float = 0) -> None:
        """Sleep for `least` seconds, and then for a random time of at most `longest` seconds."""
        if self._notice is not None and self.elapsed() + least > _SILENT_SECONDS:
            who = "others are publishing to this collection" if not least else "the server is busy"
            self._notice(f"{who}; waiting for our turn")
            self._notice = None
        time.sleep(least + random.uniform(0, longest))  # noqa: S311 - jitter, no secret
