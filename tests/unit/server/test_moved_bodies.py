"""Readers for whose file there is no memory: they get the rest from the store, byte for byte, or the answer ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.support.collector import without_collector
from tests.support.server_owner import NOW
from tests.support.server_site import Site
from trustdata.errors import NotStored
from trustdata.gun import GUN
from trustdata.roles import TARGETS, TIMESTAMP
from trustserver.api.sending import PIECE
from trustserver.api.stored_pieces import AT_ONE_TIME, StoredPieces
from trustserver.errors import NotThere
from trustserver.responses import in_flight
from trustserver.responses.in_flight import STORED_PIECE, BodiesInFlight
from trustserver.responses.ready import ReadyResponse, StoredBody, plain_response
from trustserver.settings import Settings
from trustserver.storage.opening import open_store
from trustserver.storage.ports import MetadataStore, Publication, StoredFile, Tombstone

SIZE = 1_000_003
LIMIT = 3 * SIZE
WORKERS = 4
WIRES = ("tuf-1.0", "notary-v1")


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MetadataStore]:
    with contextlib.closing(open_store(Settings(data=tmp_path))) as opened:
        yield opened


def name(number: int) -> GUN:
    return GUN(f"registry.example.com/app{number}")


def content(number: int, version: int = 1) -> bytes:
    """Bytes that are like no others at any place, and that gzip makes smaller."""
    return random.Random(f"{number} {version}").randbytes(SIZE).hex().encode()[:SIZE]


def stored(role: Any, raw: bytes, version: int = 1) -> StoredFile:
    return StoredFile(
        role=role,
        version=version,
        raw=raw,
        sha256=sha256(raw).hexdigest(),
        expires=NOW + timedelta(days=30),
        stored_at=NOW,
    )


def keep(store: MetadataStore, number: int, wire: str, *, version: int = 1, base: int = 0) -> None:
    """Store a collection with large targets; what is in the files is nobody's business here."""
    files = (stored(TARGETS, content(number, version), version), stored(TIMESTAMP, b"{}", version))
    publication = Publication(
        gun=name(number), format=wire, base=base, files=files, promoted_keys=(), renew_at=NOW + timedelta(days=9)
    )
    store.publish(publication)


@dataclass(kw_only=True)
class Reader:
    """One client of the application: takes a piece when it is told to."""

    site: Site
    path: str
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    got: bytearray = field(default_factory=bytearray)
    start: dict[Any, Any] = field(default_factory=dict)
    is_whole: bool = False
    waits: asyncio.Event = field(default_factory=asyncio.Event)
    _may: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        scope = {"type": "http", "method": "GET", "headers": self.headers, "query_string": b""}
        scope |= {"raw_path": self.path.encode(), "path": self.path}
        self.task = asyncio.create_task(self.site.app.asgi(scope, asyncio.Future, self._send))

    async def _send(self, event: Any) -> None:
        if event["type"] == "http.response.start":
            self.start = {"status": event["status"], **dict(event["headers"])}
            return
        self.got += event["body"]
        self.is_whole = not event.get("more_body", False)
        if not self.is_whole:
            self.waits.set()
            await self._may.wait()

    def read_on(self) -> None:
        self._may.set()

    async def whole(self) -> bytes:
        self.begin()
        return await self.end()

    async def end(self) -> bytes:
        self.read_on()
        assert self.task is not None
        await self.task
        return bytes(self.got)


def path_of(number: int, wire: str) -> str:
    if wire == "tuf-1.0":
        return f"/tuf/{name(number)}/metadata/1.targets.json"
    return f"/v2/{name(number)}/_trust/tuf/targets.{sha256(content(number)).hexdigest()}.json"


async def waiting(readers: list[Reader]) -> None:
    for reader in readers:
        await reader.waits.wait()
    # The event loop has the last answer until its next round, and each worker thread until its next work.
    threads = threading.Barrier(WORKERS)
    await asyncio.gather(*(asyncio.to_thread(threads.wait, 30) for _ in range(WORKERS)))


def responses(size: int) -> list[ReadyResponse]:
    """The responses with so many bytes that anybody still has. No collector of garbage helps: it seldom runs."""
    found = (each for each in gc.get_objects() if isinstance(each, ReadyResponse))
    return [each for each in found if len(each.body["body"]) == size]


def play(scene: Callable[[], Any]) -> None:
    async def bounded() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(WORKERS))
        async with asyncio.timeout(60):
            await scene()

    asyncio.run(bounded())


@pytest.fixture(autouse=True)
def uncollected() -> Iterator[None]:
    with without_collector():
        yield


@pytest.fixture(autouse=True)
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_flight.BodiesInFlight.__init__, "__kwdefaults__", {"limit": LIMIT})


def test_many_slow_readers_of_many_files_hold_a_piece_each_and_all_get_theirs(store: MetadataStore, wire: str) -> None:
    many = 24
    for number in range(many):
        keep(store, number, wire)

    async def scene() -> None:
        site = Site(store, view_bytes=0)
        readers = [Reader(site=site, path=path_of(number % many, wire)) for number in range(2 * many)]
        for reader in readers:
            reader.begin()
        await waiting(readers)
        bodies = site.app.asgi.bodies
        assert bodies.size <= LIMIT
        assert bodies.ended == 0
        assert len(responses(SIZE)) <= LIMIT // SIZE, "nobody else has what has gone"
        assert bodies.moved >= 2 * (many - LIMIT // SIZE)
        for number, reader in enumerate(readers):
            assert await reader.end() == content(number % many)
            assert reader.is_whole
        assert (bodies.size, bodies._bound_bytes, len(bodies._bodies)) == (0, 0, 0)

    play(scene)


def test_who_asks_for_a_file_that_is_being_sent_gets_the_same_copy(store: MetadataStore, wire: str) -> None:
    keep(store, 0, wire)

    async def scene() -> None:
        site = Site(store, view_bytes=0)
        readers = [Reader(site=site, path=path_of(0, wire)) for _ in range(5)]
        for reader in readers:
            reader.begin()
            await waiting([reader])
        bodies = site.app.asgi.bodies
        assert (bodies.size, len(bodies._bodies), len(responses(SIZE))) == (SIZE, 1, 1)
        for reader in readers:
            assert await reader.end() == content(0)
        await waiting(readers)
        assert bodies.size == 0
        assert not responses(SIZE)

    play(scene)


def test_a_file_that_is_dropped_meanwhile_ends_the_answer_and_no_other_byte_is_sent(
    store: MetadataStore, wire: str
) -> None:
    """By the operator, by retention, or by its owner who begins again under the same name."""
    for number in range(4):
        keep(store, number, wire)

    async def scene() -> None:
        site = Site(store, view_bytes=0)
        readers = [Reader(site=site, path=path_of(number, wire)) for number in range(4)]
        for reader in readers:
            reader.begin()
            await waiting([reader])
        assert site.app.asgi.bodies.moved == 1
        gone = readers[0]
        tombstone = Tombstone(root_sha256="", versions={}, deleted_at=NOW, subject="")
        store.delete(name(0), base=1, tombstone=tombstone, frees_name=True)
        keep(store, 0, wire, version=2, base=2)
        got = await gone.end()
        assert not gone.is_whole
        assert got == content(0)[: len(got)]
        assert len(got) < SIZE
        for number, reader in enumerate(readers[1:], start=1):
            assert await reader.end() == content(number)

    play(scene)


def test_a_hot_answer_lets_its_body_go_too(store: MetadataStore, wire: str) -> None:
    for number in range(4):
        keep(store, number, wire)

    async def scene() -> None:
        site = Site(store)
        await Reader(site=site, path=path_of(0, wire)).whole()
        readers = [Reader(site=site, path=path_of(number, wire)) for number in range(4)]
        for reader in readers:
            reader.begin()
            await waiting([reader])
        assert site.app.asgi.answered == 1
        assert site.app.asgi.bodies.moved == 1
        for number in range(4):
            site.app.asgi._cache.drop(name(number))
        assert len(responses(SIZE)) == 3, "those of the bodies that are in memory"
        for number, reader in enumerate(readers):
            assert await reader.end() == content(number)

    play(scene)


def test_a_dropped_version_is_not_missed_while_its_body_is_in_memory(store: MetadataStore, wire: str) -> None:
    keep(store, 0, wire)

    async def scene() -> None:
        site = Site(store, view_bytes=0)
        reader = Reader(site=site, path=path_of(0, wire))
        reader.begin()
        await waiting([reader])
        store.delete(name(0), base=1, tombstone=Tombstone(root_sha256="", versions={}, deleted_at=NOW, subject=""))
        assert await reader.end() == content(0)

    play(scene)


def test_when_compressed_bodies_have_half_of_the_memory_others_get_the_plain_form(
    store: MetadataStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It alone can be read from the store, so that nobody has to stop."""
    monkeypatch.setattr(in_flight.BodiesInFlight.__init__, "__kwdefaults__", {"limit": 2 * SIZE})
    for number in range(6):
        keep(store, number, "tuf-1.0")

    async def scene() -> None:
        site = Site(store, view_bytes=64_000_000)
        gzip = [(b"accept-encoding", b"gzip")]
        readers = [Reader(site=site, path=path_of(number, "tuf-1.0"), headers=gzip) for number in range(6)]
        for reader in readers:
            reader.begin()
            await waiting([reader])
        packed = [reader for reader in readers if b"content-encoding" in reader.start]
        bodies = site.app.asgi.bodies
        assert 0 < len(packed) < 6
        assert bodies._bound_bytes <= SIZE
        assert bodies.size <= 2 * SIZE
        for number, reader in enumerate(readers):
            got = await reader.end()
            assert len(got) == int(reader.start[b"content-length"])
            assert reader in packed or got == content(number)
            assert (reader.start[b"etag"].endswith(b'-gzip"')) is (reader in packed)
        assert bodies.ended == 0
        assert (bodies.size, bodies._bound_bytes) == (0, 0)

    play(scene)


def test_pieces_are_read_two_at_a_time_and_must_have_their_length() -> None:
    place = StoredBody(gun=name(0), role=TARGETS, sha256="ab", size=10)

    class Pieces:
        answer: bytes | None = b"0123"

        def __init__(self) -> None:
            self.let_go, self.enough = threading.Event(), threading.Event()
            self.begun = 0

        def piece(self, *_: object, **__: object) -> bytes | None:
            self.begun += 1
            if self.begun == AT_ONE_TIME:
                self.enough.set()
            assert self.let_go.wait(30)
            return self.answer

    async def scene() -> None:
        source: Any = Pieces()
        pieces = StoredPieces(source)
        reading = asyncio.gather(*(pieces.read(place, 0, 4) for _ in range(20)))
        assert await asyncio.to_thread(source.enough.wait, 30)
        for _ in range(100):
            await asyncio.sleep(0)
        assert source.begun == AT_ONE_TIME
        source.let_go.set()
        assert await reading == [b"0123"] * 20
        for answer in (None, b"012", b"01234"):
            source.answer = answer
            with pytest.raises(NotThere, match="any more"):
                await pieces.read(place, 0, 4)
        source.answer = b"89"
        assert await pieces.read(place, 8, 4) == b"89"

    play(scene)


def test_a_store_that_fails_ends_the_answer_and_not_the_server(
    store: MetadataStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for number in range(4):
        keep(store, number, "tuf-1.0")

    def fail(*_: object, **__: object) -> None:
        raise NotStored(reason="broken")

    async def scene() -> None:
        site = Site(store, view_bytes=0)
        readers = [Reader(site=site, path=path_of(number, "tuf-1.0")) for number in range(4)]
        for reader in readers:
            reader.begin()
            await waiting([reader])
        monkeypatch.setattr(store, "piece", fail)
        got = await readers[0].end()
        assert got == content(0)[: len(got)]
        assert len(got) == PIECE
        assert "request failed" not in caplog.text
        assert "an answer ends before its end" in caplog.text
        for reader in readers[1:]:
            await reader.end()

    play(scene)


def test_who_needs_the_body_itself_stays_longer_and_has_half_of_the_memory() -> None:
    ended: list[str] = []
    bodies = BodiesInFlight(_no_pieces, limit=100)
    place = StoredBody(gun=name(0), role=TARGETS, sha256="ab", size=40)
    first, second, third = (bytes([number]) * 40 for number in range(3))
    answers = [plain_response(200, [], each, stored=place) for each in (first, second, third)]
    needed = bodies.read(first, lambda: ended.append("first"))
    assert bodies.may_hold(first), "it is there already"
    assert not bodies.may_hold(second)
    shared = bodies.read(first, lambda: ended.append("shared"), answer=answers[0])
    moved = bodies.read(second, lambda: ended.append("second"), answer=answers[1])
    last = bodies.read(third, lambda: ended.append("third"), answer=answers[2])
    assert (ended, bodies.moved, bodies.size) == ([], 1, 80), "the one that was asked for first is needed"
    needed.release()
    assert bodies.may_hold(second), "what is still read can be read from the store"
    assert bodies.size == 80
    for each in (shared, moved, last):
        each.release()
    assert (bodies.size, bodies._bound_bytes) == (0, 0)


async def _no_pieces(stored: StoredBody, start: int, length: int) -> bytes:
    raise NotThere(what="piece")


def test_pieces_of_the_store_are_whole_numbers_of_pieces_that_are_sent() -> None:
    assert STORED_PIECE % PIECE == 0
