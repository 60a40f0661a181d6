"""How many requests of one client are worked on at one time."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from trustserver.api.request_turns import RequestTurns


class Work:
    """An application that works on a request until it is told to go on."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.go_on: dict[str, asyncio.Event] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        name = scope["path"]
        self.begun.append(name)
        if name.startswith("upload"):
            await receive()
        self.go_on[name] = asyncio.Event()
        await self.go_on[name].wait()
        if name.startswith("fails"):
            raise ValueError(name)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


class Site:
    def __init__(self) -> None:
        self.work = Work()
        self.turns = RequestTurns(self.work, at_one_time=2)
        self.readers: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str, address: str | None) -> None:
        """Begin a request. Its answer is not read until its event in `readers` is set."""
        reads = self.readers[name] = asyncio.Event()

        async def send(event: Any) -> None:
            await reads.wait()

        async def receive() -> Any:
            await asyncio.get_running_loop().create_future()

        scope = {"type": "http", "path": name, "client": address and (address, 1)}

        async def request() -> None:
            await self.turns(scope, receive, send)

        self.tasks[name] = asyncio.create_task(request())
        await self.settle()

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def end(self) -> None:
        for task in self.tasks.values():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, ValueError):
                await task
        assert self.turns._clients == {}, "nothing is kept of clients that have gone"


def test_others_of_the_same_client_wait_for_their_turn() -> None:
    async def scene() -> None:
        site = Site()
        for name in ("a1", "a2", "a3", "a4"):
            await site.ask(name, "192.0.2.1")
        await site.ask("b1", "192.0.2.2")
        await site.ask("unknown", None)
        assert site.work.begun == ["a1", "a2", "b1", "unknown"]
        site.work.go_on["a1"].set()
        await site.settle()
        assert site.work.begun[4:] == ["a3"], "the answer to the first has begun, though nobody reads it"
        await site.end()

    asyncio.run(scene())


def test_a_place_is_given_back_however_a_request_ends() -> None:
    async def scene() -> None:
        site = Site()
        for name in ("fails", "cancelled", "waits", "goes", "last"):
            await site.ask(name, "192.0.2.1")
        site.tasks["goes"].cancel()
        site.work.go_on["fails"].set()
        await site.settle()
        site.tasks["cancelled"].cancel()
        await site.settle()
        assert site.work.begun == ["fails", "cancelled", "waits", "last"]
        await site.end()

    asyncio.run(scene())


def test_one_who_goes_when_its_turn_comes_hands_it_on() -> None:
    async def scene() -> None:
        site = Site()
        for name in ("a1", "a2", "a3", "a4"):
            await site.ask(name, "192.0.2.1")
        site.tasks["a1"].cancel()
        await asyncio.sleep(0)  # a3 has its turn, and does not know yet
        site.tasks["a3"].cancel()
        await site.settle()
        assert site.work.begun == ["a1", "a2", "a4"]
        await site.end()

    asyncio.run(scene())


def test_a_body_that_does_not_come_keeps_no_other_waiting() -> None:
    """Behind one address there may be a whole company, and one of them with two slow uploads."""

    async def scene() -> None:
        site = Site()
        for name in ("upload1", "upload2", "upload3", "a1", "a2", "a3"):
            await site.ask(name, "192.0.2.1")
        assert site.work.begun == ["upload1", "upload2", "upload3", "a1", "a2"]
        site.tasks["upload1"].cancel()
        await site.settle()
        assert site.work.begun[5:] == [], "an upload that ends gives no place back twice"
        site.work.go_on["a1"].set()
        await site.settle()
        assert site.work.begun[5:] == ["a3"]
        await site.end()

    asyncio.run(scene())
