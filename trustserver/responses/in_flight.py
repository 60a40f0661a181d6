"""Bound the memory of large bodies that are being sent: each counts once, however many clients read it.

When there is too much, the body that was asked for longest ago goes, and with it whoever still reads it: they are
slower than all others.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

MAX_BYTES: Final = 96 * 1024 * 1024
"""Bytes of all bodies that are being sent. One that is larger is sent alone."""


class _Body:
    """A body that is being sent, and its readers."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.readers: set[Reading] = set()


class Reading:
    """A client that reads a body. `has_ended`: it must stop, because there is no memory for the body any more."""

    def __init__(self, bodies: BodiesInFlight, body: bytes, end: Callable[[], None]) -> None:
        self.has_ended = False
        self.end = end
        self._bodies = bodies
        self._key = id(body)  # of a body that is kept below, so no other can get the same

    def release(self) -> None:
        """Note that the client reads no more; doing so twice is allowed."""
        self._bodies.release(self._key, self)


class BodiesInFlight:
    """Counts the bodies that are being sent, on one event loop. `limit`: bytes; `size`: how many there are now."""

    def __init__(self, *, limit: int = MAX_BYTES) -> None:
        self.size = 0
        self.ended = 0
        """How many clients had to stop."""
        self._limit = limit
        self._bodies: OrderedDict[int, _Body] = OrderedDict()

    def read(self, body: bytes, end: Callable[[], None]) -> Reading:
        """Count a client that begins to read. `end`: called, at most once, if it has to stop."""
        reading = Reading(self, body, end)
        key = id(body)
        if key not in self._bodies:
            self._bodies[key] = _Body(body)
            self.size += len(body)
        self._bodies[key].readers.add(reading)
        self._bodies.move_to_end(key)
        while self.size > self._limit and len(self._bodies) > 1:
            _, oldest = self._bodies.popitem(last=False)
            self.size -= len(oldest.body)
            for each in oldest.readers:
                self.ended += 1
                each.has_ended = True
                each.end()
        return reading

    def release(self, key: int, reading: Reading) -> None:
        """Forget a client, and the body if no other reads it."""
        found = self._bodies.get(key)
        if found is None or reading not in found.readers:
            return
        found.readers.discard(reading)
        if not found.readers:
            self.size -= len(found.body)
            del self._bodies[key]
