"""Wait between two attempts to publish, for a random time, so that publishers do not retry at the same moments."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final

_SILENT_SECONDS: Final = 5.0
"""How long a publisher waits for others before it tells the user."""


class JitteredBackoff:
    """The `Backoff` of a real publisher. `notice`: tells the user, once, that others are publishing."""

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._start = time.monotonic()
        self._notice: Callable[[str], None] | None = notice

    def elapsed(self) -> float:
        """Return the seconds since this object was made."""
        return time.monotonic() - self._start

    def pause(self, longest: float) -> None:
        """Sleep for a random time of at most `longest` seconds."""
        if self._notice is not None and self.elapsed() > _SILENT_SECONDS:
            self._notice("others are publishing to this collection; waiting for our turn")
            self._notice = None
        time.sleep(random.uniform(0, longest))  # noqa: S311 - jitter, no secret
