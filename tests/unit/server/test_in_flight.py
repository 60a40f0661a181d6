"""Large bodies that are being sent: one copy for all readers, and a limit for all bodies together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any
from weakref import finalize

import pytest

from tests.simulator.memory_store import MemoryStore
from tests.support.server_site import GUN_A, Site
from trustdata.errors import NotStored
from trustdata.gun import GUN
from trustserver.api.sending import PIECE, send_body
from trustserver.api.shared_reads import SharedReads
from trustserver.responses.in_flight import BodiesInFlight
from trustserver.responses.ready import ReadyResponse, plain_response
from trustserver.responses.response_cache import ResponseCache

PATH = b"/tuf/a/metadata/targets.json"
GUN_B = GUN("registry.example.com/team/b")


def test_a_body_counts_once_for_all_its_readers() -> None:
    bodies, body = BodiesInFlight(limit=100), b"x" * 60
    readings = [bodies.read(body, lambda: None) for _ in range(5)]
    assert bodies.size == 60
    for reading in readings[:4]:
        reading.release()
        reading.release()
    assert bodies.size == 60
    readings[4].release()
    assert (bodies.size, bodies.ended) == (0, 0)


def test_the_body_asked_for_longest_ago_goes_with_all_its_readers() -> None:
    ended: list[str] = []
    bodies = BodiesInFlight(limit=100)
    first, second, third, huge = (bytes([number]) * size for number, size in enumerate((40, 41, 42, 200)))
    one = bodies.read(first, lambda: ended.append("one"))
    bodies.read(first, lambda: ended.append("two"))
    bodies.read(second, lambda: ended.append("second"))
    three = bodies.read(first, lambda: ended.append("three"))
    bodies.read(third, lambda: ended.append("third"))
    assert ended == ["second"], "somebody has asked for the first since"
    bodies.read(huge, lambda: ended.append("huge"))
    assert sorted(ended) == ["one", "second", "third", "three", "two"], "what is beyond the limit is sent alone"
    assert one.must_stop
    assert three.must_stop
    one.release()
    assert bodies.size == 200


def test_a_reader_whose_body_goes_is_sent_no_more_of_it() -> None:
    bodies = BodiesInFlight(limit=10 * PIECE)
    taken: list[int] = []

    async def scene() -> None:
        stuck = asyncio.Event()

        async def send(event: Any) -> None:
            taken.append(len(event["body"]))
            if len(taken) == 2:
                stuck.set()
                await asyncio.Event().wait()

        reader = asyncio.create_task(send_body(send, plain_response(200, [], bytes(8 * PIECE)), bodies))
        await stuck.wait()
        other = bodies.read(b"x" * (5 * PIECE), lambda: None)
        await reader
        assert (bodies.ended, bodies.size) == (1, 5 * PIECE)
        other.release()

    asyncio.run(scene())
    assert taken == [PIECE, PIECE]


def answer_of(body: bytes) -> ReadyResponse:
    return plain_response(200, [], body)


def test_a_file_is_read_once_while_it_is_read_and_while_it_is_sent() -> None:
    loads: list[threading.Thread] = []

    def load() -> ReadyResponse:
        loads.append(threading.current_thread())
        return answer_of(b"content")

    async def scene() -> None:
        cache = ResponseCache()
        shared = SharedReads(cache)
        first, second = await asyncio.gather(*(shared.read(GUN_A, PATH, load) for _ in range(2)))
        again = await shared.read(GUN_A, PATH, load)
        assert len({id(first), id(second), id(again), len(loads)}) == 2, "one answer, read once"
        assert threading.main_thread() not in loads
        await shared.read(GUN_B, b"/other", load)
        cache.published(GUN_A, [])
        third = await shared.read(GUN_A, PATH, load)
        assert len(loads) == 3, "a collection that has changed is read again"
        gone = asyncio.Event()
        finalize(third, asyncio.get_running_loop().call_soon_threadsafe, gone.set)
        del first, second, again, third
        await gone.wait()  # the event loop, and the thread that read it, may have the last one for a moment
        await shared.read(GUN_A, PATH, load)
        assert len(loads) == 4, "nobody has it any more"

    asyncio.run(scene())


def test_a_read_that_fails_fails_for_all_and_is_tried_again() -> None:
    answers: list[Callable[[], ReadyResponse]] = []

    def fail() -> ReadyResponse:
        raise NotStored(reason="broken")

    def load() -> ReadyResponse:
        return answers.pop(0)()

    async def scene() -> None:
        shared = SharedReads(ResponseCache())
        answers[:] = [fail, lambda: answer_of(b"x")]
        both = await asyncio.gather(*(shared.read(GUN_A, PATH, load) for _ in range(2)), return_exceptions=True)
        assert [type(each) for each in both] == [NotStored, NotStored]
        assert (await shared.read(GUN_A, PATH, load)).body["body"] == b"x"

    asyncio.run(scene())


@pytest.mark.parametrize("name", ["targets.json", "1.targets.json"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_many_who_ask_at_one_time_cost_one_read_of_the_store(
    name: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(view_bytes=0)
    site.begin()
    reads: list[str] = []
    all_have_asked = threading.Event()
    for kind in ("file", "current"):
        whole = getattr(MemoryStore, kind)

        def noted(self: MemoryStore, *arguments: Any, whole: Any = whole, **options: Any) -> Any:
            reads.append(name)
            assert all_have_asked.wait(30)
            return whole(self, *arguments, **options)

        monkeypatch.setattr(MemoryStore, kind, noted)

    async def many() -> list[int]:
        events: list[Any] = []

        async def send(event: Any) -> None:
            events.append(event)

        scope = {
            "type": "http",
            "method": method,
            "headers": [],
            "raw_path": f"/tuf/{GUN_A}/metadata/{name}".encode(),
            "path": "",
            "query_string": b"",
        }
        asked = asyncio.gather(*(site.app.asgi(dict(scope), asyncio.Future, send) for _ in range(20)))
        for _ in range(1000):  # each begins in a round of the event loop of its own
            await asyncio.sleep(0)
        all_have_asked.set()
        await asked
        return [event["status"] for event in events if "status" in event]

    assert asyncio.run(many()) == [200] * 20
    assert len(reads) == 1
