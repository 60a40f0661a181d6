"""Share the memory for uploads among those who send them, and end uploads that stop coming.

Memory is counted when it has arrived, not when it is announced. When all of it is taken, the uploads of the one who
holds most give way: so nobody can keep the others out by sending much slowly.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final, Self

from trustserver.api.rounds import Rounds
from trustserver.errors import Overloaded, RequestTooSlow

ALL_UPLOADS: Final = 64 * 1024 * 1024
"""The highest number of bytes in all uploads that are being read or checked at one time."""
PATIENCE: Final = 10.0
"""Seconds for which an upload may come slower than the least rate, before it is ended."""
LEAST_RATE: Final = 16 * 1024
"""The least rate of an upload in bytes per second, over all of it."""
_TOO_MUCH: Final = "uploads at one time"


class UploadRoom:
    """Counts the memory that uploads take, for all requests of one event loop.

    `limit`: bytes in all. `rate`: the least rate of an upload in bytes per second; 0 for none.
    """

    def __init__(self, limit: int = ALL_UPLOADS, *, rate: int = LEAST_RATE) -> None:
        self.rate = rate
        self._free = limit
        self.rounds = Rounds()
        self._places: set[UploadPlace] = set()

    @property
    def free(self) -> int:
        """How many bytes are left."""
        return self._free

    def enter(self, owner: str) -> UploadPlace:
        """Return a place for one upload, as a context manager. `owner`: who sends it, or what it is for."""
        return UploadPlace(self, owner)

    def add(self, place: UploadPlace) -> None:
        self._places.add(place)

    def remove(self, place: UploadPlace) -> None:
        """Give the memory of a place back."""
        self._places.discard(place)
        self.release(place)

    def take(self, place: UploadPlace, size: int) -> None:
        """Take memory for a place. Raises: Overloaded if nobody holds more than the owner of this place."""
        while size > self._free:
            self._make_room(place, size)
        self._free -= size
        place.held += size

    def release(self, place: UploadPlace) -> None:
        self._free += place.held
        place.held = 0

    def _make_room(self, place: UploadPlace, size: int) -> None:
        """End the largest upload that arrives or waits, of the owner who holds most. Raises: Overloaded.

        Of the owner of this place, who may be many people behind one address, only a larger one than this.
        """
        held: dict[str, int] = {}
        for each in self._places:
            held[each.owner] = held.get(each.owner, 0) + each.held
        mine = held.get(place.owner, 0) + size
        ends = [
            each
            for each in self._places
            if each.may_end
            and each is not place
            and (each.held > place.held + size if each.owner == place.owner else held[each.owner] > mine)
        ]
        if not ends:
            raise Overloaded(what=_TOO_MUCH)
        max(ends, key=lambda each: (held[each.owner], each.held)).give_way()


class UploadPlace:
    """The memory of one upload, as a context manager: it is given back at the end of the block.

    `held`: bytes that have arrived and are not given back. `arrived`: all that have. `may_end`: whether it can be ended
    now, so that others have room. `gave_way`: whether that has happened.
    """

    def __init__(self, room: UploadRoom, owner: str) -> None:
        self.owner = owner
        self.held = self.arrived = 0
        self.gave_way = False
        self._room = room
        self._timeout: asyncio.Timeout | None = None
        self._latest = self._slowest = 0.0

    @property
    def may_end(self) -> bool:
        return self._timeout is not None and not self._timeout.expired()

    def __enter__(self) -> Self:
        self._room.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._room.remove(self)

    @contextlib.asynccontextmanager
    async def arriving(self, *, seconds: float) -> AsyncIterator[None]:
        """Let the upload arrive in the block, and end it if it is too slow, or others need its room.

        `seconds`: the most that it may take. Raises: RequestTooSlow, Overloaded.
        """
        now = asyncio.get_running_loop().time()
        self._latest = now + seconds
        self._slowest = now + PATIENCE if self._room.rate else self._latest
        try:
            async with self._ended_by(min(self._latest, self._slowest)):
                yield
        except TimeoutError as error:
            raise RequestTooSlow(seconds=round(min(self._latest, self._slowest) - now, 1)) from error

    @contextlib.asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Let the upload wait in the block, and end it if others need its room. Raises: Overloaded."""
        async with self._ended_by(None):
            yield

    @contextlib.asynccontextmanager
    async def _ended_by(self, when: float | None) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(when) as self._timeout:
                yield
        except TimeoutError as error:
            if self.gave_way:
                raise Overloaded(what=_TOO_MUCH) from error
            raise
        finally:
            self._timeout = None

    async def turn(self) -> None:
        """Wait until some of the upload may be parsed: one upload in each round of the event loop."""
        await self._room.rounds.begin(self.owner)

    def take(self, size: int) -> None:
        """Take memory for bytes that have arrived. Raises: Overloaded if there is none left."""
        self._room.take(self, size)
        self.arrived += size
        if self._room.rate and self._timeout is not None and not self._timeout.expired():
            self._slowest += size / self._room.rate
            self._timeout.reschedule(min(self._latest, self._slowest))

    def release(self) -> None:
        """Give the memory back before the end of the block."""
        self._room.release(self)

    def give_way(self) -> None:
        """End the upload, so that its memory is free for others."""
        self.gave_way = True
        if self._timeout is not None:
            self._timeout.reschedule(0)
            self._timeout = None
        self.release()
