"""The shares of uploads: nobody keeps the others out, by sending slowly, by sending much, or by sending often."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Awaitable, Mapping
from typing import Any

import httpx
import pytest

from tests.support.server_owner import Owner
from tests.support.server_site import GUN_A, Site
from trustdata.gun import GUN
from trustdata.roles import RoleName
from trustserver.api import publish_requests, upload_room
from trustserver.api.fair_queue import FairQueue
from trustserver.api.publish_requests import _owner
from trustserver.api.upload_room import LEAST_RATE, UploadRoom
from trustserver.auth.authorizer import ANONYMOUS, Subject, SubjectKind
from trustserver.errors import Overloaded, RequestTooSlow

FOREVER = 3600


async def stalled(room: UploadRoom, owner: str, size: int, *, seconds: float = FOREVER) -> asyncio.Task[None]:
    """An upload that has sent so many bytes and sends no more."""
    taken = asyncio.Event()

    async def send() -> None:
        with room.enter(owner) as place:
            async with place.arriving(seconds=seconds):
                place.take(size)
                taken.set()
                await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(send())
    await taken.wait()
    return task


def outcomes(tasks: list[asyncio.Task[None]]) -> list[str]:
    return [type(task.exception()).__name__ if task.done() else "arriving" for task in tasks]


async def ended(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_unfinished_uploads_of_one_give_way_to_those_of_another() -> None:
    room = UploadRoom(1000)

    async def run() -> list[str]:
        tasks = [await stalled(room, "many", size) for size in (300, 320, 340)]
        with room.enter("honest") as place:
            async with place.arriving(seconds=FOREVER):
                place.take(300)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        found = outcomes(tasks)
        await ended(tasks)
        return found

    assert asyncio.run(run()) == ["arriving", "arriving", "Overloaded"]
    assert room.free == 1000


def test_of_one_owner_the_largest_gives_way_to_a_smaller_one() -> None:
    """Many people may be behind one address, and one of them may hold all of its room."""
    room = UploadRoom(1000)

    async def run() -> list[str]:
        tasks = [await stalled(room, "one address", 250) for _ in range(4)]
        with room.enter("one address") as place:
            async with place.arriving(seconds=FOREVER):
                place.take(100)
                place.take(100)
                with pytest.raises(Overloaded):
                    place.take(100)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        found = outcomes(tasks)
        await ended(tasks)
        return found

    assert sorted(asyncio.run(run())) == ["Overloaded", "arriving", "arriving", "arriving"]
    assert room.free == 1000


def test_only_as_many_give_way_as_must() -> None:
    room = UploadRoom(1000)

    async def run() -> list[str]:
        tasks = [await stalled(room, "many", 100) for _ in range(10)]
        with room.enter("honest") as place:
            place.take(250)
            assert room.free == 50
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        found = outcomes(tasks)
        await ended(tasks)
        return sorted(found)

    assert asyncio.run(run()) == ["Overloaded"] * 3 + ["arriving"] * 7


def test_nobody_gets_more_than_those_who_hold_most() -> None:
    room = UploadRoom(1000)

    async def run() -> None:
        tasks = [await stalled(room, owner, 500) for owner in ("a", "b")]
        with room.enter("c") as place:
            place.take(450)
            with pytest.raises(Overloaded):
                place.take(400)
        with room.enter("b") as place, pytest.raises(Overloaded):
            place.take(501)
        await ended(tasks)

    asyncio.run(run())
    assert room.free == 1000


def test_an_upload_that_is_checked_does_not_give_way_and_one_that_waits_does() -> None:
    room = UploadRoom(1000)

    async def run() -> None:
        with room.enter("many") as checked, room.enter("many") as waits:
            checked.take(500)
            waits.take(400)

            async def wait() -> None:
                async with waits.waiting():
                    await asyncio.get_running_loop().create_future()

            task = asyncio.create_task(wait())
            await asyncio.sleep(0)
            with room.enter("honest") as place:
                place.take(400)
                with pytest.raises(Overloaded):
                    place.take(400)
            with pytest.raises(Overloaded):
                await task
            assert (checked.held, waits.held, checked.gave_way) == (500, 0, False)

    asyncio.run(run())


def test_an_upload_that_stops_coming_ends_long_before_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_room, "PATIENCE", 0)

    async def send(rate: int) -> None:
        task = await stalled(UploadRoom(rate=rate), "someone", 10, seconds=FOREVER)
        await asyncio.wait_for(task, timeout=30)

    with pytest.raises(RequestTooSlow):
        asyncio.run(send(10**6))


def test_a_slow_upload_that_keeps_the_least_rate_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_room, "PATIENCE", 0.001)

    async def run(rate: int) -> str:
        task = await stalled(UploadRoom(rate=rate), "someone", 1000)
        await asyncio.wait([task], timeout=0.05)
        found = outcomes([task])
        await ended([task])
        return found[0]

    assert asyncio.run(run(1)) == "arriving", "a thousand bytes have a thousand seconds"
    assert asyncio.run(run(0)) == "arriving", "no least rate"
    assert asyncio.run(run(10**9)) == "RequestTooSlow"


def test_who_the_owner_is() -> None:
    """A user whom a token names is one owner, wherever they are. Nobody else is known by more than an address."""
    alice = Subject(name="alice", kind=SubjectKind.REGISTRY_TOKEN)
    assert (
        _owner(alice, "192.0.2.1", GUN_A)
        == _owner(alice, "192.0.2.2", GUN("example.com/b"))
        == "subject registry-token:alice"
    )
    assert _owner(ANONYMOUS, "192.0.2.1", GUN_A) == "address 192.0.2.1"
    assert _owner(ANONYMOUS, None, GUN_A) == f"name {GUN_A}"
    assert LEAST_RATE * 60 < 32 * 1024 * 1024


# --- on the whole application


def unfinished(site: Site, gun: str, size: int, at_rest: asyncio.Event) -> Awaitable[int]:
    """Begin an upload of `size` bytes and let it rest there. The status of its answer, if it gets one."""
    boundary = b'--x\r\nContent-Disposition: form-data; name="files"; filename="targets"\r\n\r\n'
    bodies = iter([boundary, b"[" * size])
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        for body in bodies:
            return {"type": "http.request", "body": body, "more_body": True}
        at_rest.set()
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async def send(event: Mapping[str, Any]) -> None:
        statuses.append(event.get("status", 0))

    path = f"/api/v1/collections/{gun}/publish"
    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "headers": headers}

    async def run() -> int:
        await site.app.asgi({**scope, "query_string": b"", "http_version": "1.1"}, receive, send)
        return statuses[0]

    return run()


def test_an_honest_publish_ends_while_unfinished_uploads_hold_all_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish_requests, "UploadRoom", functools.partial(UploadRoom, 30_000))
    site = Site()
    owner = site.begin()

    async def run() -> tuple[int, int]:
        rests = [asyncio.Event() for _ in range(3)]
        attacks = [
            asyncio.create_task(_awaited(unfinished(site, f"example.com/{number}", 9_890, rest)))
            for number, rest in enumerate(rests)
        ]
        for rest in rests:
            await rest.wait()
        transport = httpx.ASGITransport(site.app.asgi)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            files = [("files", ("targets", owner.targets()))]
            answer = await client.post(f"/api/v1/collections/{GUN_A}/publish", files=files)
        turned_away = [task.result() for task in attacks if task.done()]
        await ended(attacks)
        return answer.status_code, turned_away[0]

    assert asyncio.run(run()) == (200, 503)


async def _awaited(answer: Awaitable[int]) -> Any:
    return await answer


# --- turns


def order(places: int, jobs: list[str], *, waiting: int = 99) -> list[str]:
    """Run jobs that arrive at one moment, each owned by its first letter. The order in which they run."""
    ran: list[str] = []

    async def run() -> None:
        queue = FairQueue(places, what="jobs", waiting=waiting)
        hold = asyncio.Event()

        async def work(job: str) -> None:
            try:
                async with queue.place(job[0]):
                    await hold.wait()
                    ran.append(job)
            except Overloaded:
                ran.append(f"{job} turned away")

        tasks = [asyncio.create_task(work(job)) for job in jobs]
        await asyncio.sleep(0)
        hold.set()
        await asyncio.gather(*tasks)

    asyncio.run(run())
    return ran


def test_owners_take_turns() -> None:
    assert order(1, ["a1", "a2", "a3", "a4", "b1", "c1", "b2"]) == ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]
    assert order(2, ["a1", "a2", "a3", "b1"]) == ["a1", "a2", "a3", "b1"]


def test_a_full_queue_turns_away_whoever_has_most_in_it() -> None:
    ran = order(1, ["a0", "a1", "a2", "a3", "b1", "b2"], waiting=3)
    assert sorted(ran[:2]) == ["a3 turned away", "b2 turned away"]
    assert ran[2:] == ["a0", "a1", "b1", "a2"]
    assert order(1, ["a0", "a1", "a2"], waiting=1) == ["a2 turned away", "a0", "a1"]


def test_a_job_that_is_given_up_while_it_waits_keeps_nobody_waiting() -> None:
    async def run() -> bool:
        queue = FairQueue(1, what="jobs")

        async def work() -> bool:
            async with queue.place("a"):
                return True

        async with queue.place("a"):
            gone, just_called, last = (asyncio.create_task(work()) for _ in range(3))
            await asyncio.sleep(0)
            gone.cancel()
            await asyncio.sleep(0)
        just_called.cancel()  # its turn has come, and it has not run yet
        return await asyncio.wait_for(last, timeout=30)

    assert asyncio.run(run())


def test_large_uploads_of_one_subject_do_not_keep_those_of_others_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish_requests, "LARGE_JUDGEMENT", 0)
    site = Site()
    owners: dict[str, Owner] = {gun: site.begin(gun) for gun in ("example.com/a", "example.com/b")}
    sized: list[str] = []
    published: list[str] = []
    all_wait = threading.Event()
    publish, size = site.app.publishing.publish, site.app.publishing.size

    def sizing(gun: GUN, files: Mapping[RoleName, bytes]) -> int:
        sized.append(gun)
        if len(sized) == 6:
            all_wait.set()
        return size(gun, files)

    def noted(gun: GUN, *arguments: Any, **named: Any) -> Any:
        assert all_wait.wait(timeout=30)
        published.append(gun)
        return publish(gun, *arguments, **named)

    monkeypatch.setattr(site.app.publishing, "size", sizing)
    monkeypatch.setattr(site.app.publishing, "publish", noted)

    async def upload(gun: str, client: str) -> int:
        files = [("files", ("targets", owners[gun].targets()))]
        transport = httpx.ASGITransport(site.app.asgi, client=(client, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            return (await http.post(f"/api/v1/collections/{gun}/publish", files=files)).status_code

    async def run() -> list[int]:
        many = [upload("example.com/a", "192.0.2.1") for _ in range(5)]
        return await asyncio.gather(*many, upload("example.com/b", "192.0.2.2"))

    assert asyncio.run(run())[-1] == 200
    assert published.index("example.com/b") <= 3, "in the order of their arrival it would be 5"
