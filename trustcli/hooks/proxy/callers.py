"""Remember for a short time which callers the upstream registry lets read which repositories.

Nothing that this program knows by itself (a list of signed tags, a refusal) is told to a caller before upstream has
said yes to that caller, for that repository, with the caller's own credentials. Content needs no memory: it is fetched
from upstream for each caller anew.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

SECONDS: Final = 30.0
"""How long a yes counts."""
_MOST: Final = 10_000
"""Remembered at one time; the oldest are forgotten."""


_KEY: Final = os.urandom(32)


def caller_mark(authorization: str) -> bytes:
    """Return what tells callers apart in memory: a hash of their credentials with a key of this process.

    `authorization`: the header's value, empty for none.
    """
    return hmac.digest(_KEY, authorization.encode("latin-1", "replace"), hashlib.sha256)


class ReadersMemory:
    """Which credentials may read which repository, by what upstream has said. Safe for threads.

    `listing`: whether it is about the list of its tags, which is a right of its own. Of credentials only their
    `caller_mark` is kept.
    """

    def __init__(self, *, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._until: OrderedDict[tuple[bytes, str, bool], float] = OrderedDict()

    def may_read(self, authorization: str, repository: str, *, listing: bool = False) -> bool:
        """Return whether upstream has said yes lately. `authorization`: the header's value, empty for none."""
        place = caller_mark(authorization), repository, listing
        with self._lock:
            until = self._until.get(place)
        return until is not None and self._clock() < until

    def remember(self, authorization: str, repository: str, *, listing: bool = False) -> None:
        """Note that upstream has said yes."""
        place = caller_mark(authorization), repository, listing
        with self._lock:
            self._until[place] = self._clock() + self._seconds
            self._until.move_to_end(place)
            if len(self._until) > _MOST:
                self._until.popitem(last=False)

    def forget(self, authorization: str, repository: str) -> None:
        """Note that upstream has said no: to whichever question, all that it has said before counts no more."""
        mark = caller_mark(authorization)
        with self._lock:
            for listing in (False, True):
                self._until.pop((mark, repository, listing), None)
