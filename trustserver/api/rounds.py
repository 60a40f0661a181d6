"""Spread work over the rounds of the event loop: one piece in a round, of another client each time.

Without this, whoever sends two hundred requests at one time has all of them begun in one round, before anybody else is
answered.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque


class Rounds:
    """Pieces of work on one event loop, by client. `every`: in how many rounds one of them may begin, if many wait."""

    def __init__(self, *, every: int = 1) -> None:
        self._every = every
        self._left = 0
        self._is_taken = False
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def begin(self, client: str) -> None:
        """Wait until a piece of work of this client may begin: at once, if nobody's has in these rounds."""
        loop = asyncio.get_running_loop()
        if not self._is_taken:
            self._is_taken = True
            self._left = self._every
            loop.call_soon(self._next_round)
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        await turn

    def _next_round(self) -> None:
        self._left -= 1
        if self._left <= 0:
            self._is_taken = self._begin_next()
            self._left = self._every
        if self._is_taken:
            asyncio.get_running_loop().call_soon(self._next_round)

    def _begin_next(self) -> bool:
        """Let the next piece of work begin. Return whether there was one."""
        while self._waiting:
            client, queue = self._waiting.popitem(last=False)
            turn = queue.popleft()
            if queue:
                self._waiting[client] = queue  # behind all others
            if not turn.done():  # else its client has gone
                turn.set_result(None)
                return True
        return False
