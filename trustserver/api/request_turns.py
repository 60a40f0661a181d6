"""Work on a few requests of one client at one time; the others of that client wait for their turn.

So a client with hundreds of connections gets no more of the worker threads than others do. What the response cache
answers is not counted, and a request is no longer counted once its answer begins or its body is waited for: neither a
slow reader nor a slow upload keeps anybody waiting. Uploads have limits and queues of their own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import MutableMapping
from typing import Any, Final

from trustserver.api.client_address import client_address
from trustserver.api.gun_path import App, Receive, Scope, Send
from trustserver.api.rounds import Rounds

AT_ONE_TIME: Final = 32
"""How many requests of one client are worked on at one time: four for each worker thread."""

ROUNDS: Final = 4
"""A request begins in every fourth round of the event loop, if many wait. It takes as long as thirty reads that the
response cache answers, and those are answered in every round: so they keep their share of the time."""


class _Client:
    """The requests of one client: how many are worked on, and those that wait."""

    def __init__(self) -> None:
        self.count = 0
        self.waiting: deque[asyncio.Future[None]] = deque()


class RequestTurns:
    """An ASGI application in front of another. Requests of clients that are not known are not counted."""

    def __init__(self, app: App, *, at_one_time: int = AT_ONE_TIME) -> None:
        self._app = app
        self._at_one_time = at_one_time
        self._clients: dict[str, _Client] = {}
        self._rounds = Rounds(every=ROUNDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = client_address(scope) if scope["type"] == "http" else None
        if address is None:
            await self._rounds.begin("")
            await self._app(scope, receive, send)
            return
        client = self._clients.setdefault(address, _Client())
        await self._turn(address, client)
        counts = True

        def hand_on() -> None:
            nonlocal counts
            if counts:
                counts = False
                self._done(address, client)

        async def received() -> MutableMapping[str, Any]:
            hand_on()
            return await receive()

        async def sent(event: MutableMapping[str, Any]) -> None:
            hand_on()
            await send(event)

        try:
            await self._rounds.begin(address)
            await self._app(scope, received, sent)
        finally:
            hand_on()

    async def _turn(self, address: str, client: _Client) -> None:
        """Wait until a request of this client may be worked on, and count it."""
        if client.count < self._at_one_time:
            client.count += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        client.waiting.append(turn)
        try:
            await turn  # whoever ends hands its place over
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._done(address, client)
            raise

    def _done(self, address: str, client: _Client) -> None:
        """Hand the place of a request to the next that waits."""
        while client.waiting:
            turn = client.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        client.count -= 1
        if not client.count:
            self._clients.pop(address, None)
