"""Let a bounded number of jobs run at one time, and those who wait take turns: one job of each owner, then the next."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from typing import Final

from trustserver.errors import Overloaded

MAX_WAITING: Final = 256
"""How many jobs may wait in a queue. If there are more, those give way whose owner has most."""


class FairQueue:
    """A semaphore for one event loop. Whoever brings many jobs waits for their own, not the others for them.

    `places`: how many jobs run at one time. `what`: names the jobs in errors, such as `uploads`.
    """

    def __init__(self, places: int, *, what: str, waiting: int = MAX_WAITING) -> None:
        self._free = places
        self._what = what
        self._limit = waiting
        self._count = 0
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @contextlib.asynccontextmanager
    async def place(self, owner: str) -> AsyncIterator[None]:
        """Wait for a place, and hold it until the end of the block. Raises: Overloaded if too many jobs wait."""
        if self._free > 0:
            self._free -= 1
        else:
            await self._wait(owner)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, owner: str) -> None:
        if self._count >= self._limit:
            self._make_room(owner)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        self._count += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()  # the place was given to a request that had just ended
            raise

    def _make_room(self, owner: str) -> None:
        """End the wait of the newest job of the owner who has most. Raises: Overloaded if that is this owner."""
        others = len(self._waiting.get(owner, ()))
        most = max(self._waiting, key=lambda each: len(self._waiting[each]))
        if len(self._waiting[most]) <= others + 1:
            raise Overloaded(what=f"{self._what} wait")
        turn = self._waiting[most].pop()
        self._count -= 1
        if not turn.done():
            turn.set_exception(Overloaded(what=f"{self._what} wait"))

    def _pass_on(self) -> None:
        """Give a place to the next owner's first job."""
        while self._waiting:
            owner, turns = next(iter(self._waiting.items()))
            turn = turns.popleft()
            self._count -= 1
            if turns:
                self._waiting.move_to_end(owner)
            else:
                del self._waiting[owner]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
