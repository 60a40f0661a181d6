"""Reads that the front answers when the store has been asked, one at a time for each connection; or behind."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.front_stage import (
    ANSWER,
    COLD,
    HOT,
    LARGE,
    LOOPS,
    PATH,
    Loop,
    Stage,
    connected,
    response,
    run,
    until,
)
from trustserver.process.kernel_clock import now
from trustserver.process.self_signed import self_signed_files
from trustserver.process.tls import TlsFiles
from trustserver.responses.ready import ReadyResponse
from trustserver.server.fast_path import COLD_READS

STORED = b"/tuf/registry.example.com/app/metadata/2.root.json"
ASKED = HOT.replace(PATH, STORED)
BODY = b'{"a":1}'


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return self_signed_files(tmp_path_factory.mktemp("tls") / "tls", host="a", at=now())


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest, certificates: TlsFiles) -> TlsFiles | None:
    return certificates if request.param == "tls" else None


def asked_of(s: Stage, path: bytes = STORED) -> asyncio.Future[ReadyResponse | None]:
    """Let the store have something under this path, which it says when the test sets it."""
    s.reads.stored[path] = asyncio.get_running_loop().create_future()
    return s.reads.stored[path]


async def waiting(s: Stage, number: int = 1) -> None:
    await until(lambda: sum(connection._waits for connection in s.front.connections) == number)


@LOOPS
def test_the_store_is_asked_and_the_connection_stays_in_front(loop: Loop, tls: TlsFiles | None) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            for answer, body in ((ANSWER, BODY), (LARGE, b"x" * 3_000_000), (ANSWER, BODY)):
                store = asked_of(s)
                writer.write(ASKED)
                await waiting(s)
                store.set_result(answer)
                head, got = await response(reader)
                assert (head[0], got) == (b"HTTP/1.1 200 OK", body)
                writer.write(HOT)
                assert (await response(reader))[1] == BODY
        assert s.behind.accepted.empty()
        assert s.reads.answered == 3, "only those that needed no store"

    run(loop, scene, tls=tls)


@LOOPS
def test_what_comes_meanwhile_is_answered_afterwards(loop: Loop, tls: TlsFiles | None) -> None:
    async def scene(s: Stage) -> None:
        store = asked_of(s)
        async with s.client() as (reader, writer):
            writer.write(ASKED)
            await waiting(s)
            writer.write(HOT)
            await writer.drain()
            for _ in range(100):
                await asyncio.sleep(0)
            store.set_result(LARGE)
            assert (await response(reader))[1] == b"x" * 3_000_000
            assert (await response(reader))[1] == BODY

    run(loop, scene, tls=tls)


@LOOPS
@pytest.mark.parametrize("fails", [False, True])
def test_otherwise_the_server_behind_gets_the_same_bytes(loop: Loop, tls: TlsFiles | None, *, fails: bool) -> None:
    async def scene(s: Stage) -> None:
        store = asked_of(s)
        async with s.client() as (reader, writer):
            writer.write(ASKED)
            await waiting(s)
            writer.write(COLD)
            await writer.drain()
            if fails:
                store.set_exception(ZeroDivisionError())
            else:
                store.set_result(None)
            heard, said = await s.behind.accepted.get()
            assert await heard.readexactly(len(ASKED) + len(COLD)) == ASKED + COLD
            said.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 204 No Content\r\n\r\n"

    run(loop, scene, tls=tls)


@LOOPS
@pytest.mark.parametrize("told_before", [False, True])
@pytest.mark.parametrize("answer", [ANSWER, None])
def test_who_has_asked_and_says_no_more_is_answered(
    loop: Loop, answer: ReadyResponse | None, *, told_before: bool
) -> None:
    """The end is heard after the answer; with TLS it may have come with the request."""

    async def scene(s: Stage) -> None:
        store = asked_of(s)
        async with s.client() as (reader, writer):
            writer.write(ASKED)
            writer.write_eof()
            await waiting(s)
            [connection] = s.front.connections
            if told_before:
                assert connection.eof_received(), "it stays open"
            store.set_result(answer)
            if answer is None:
                heard, said = await s.behind.accepted.get()
                assert await heard.read() == ASKED, "and its end"
                said.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                said.close()
                assert await reader.read() == b"HTTP/1.1 204 No Content\r\n\r\n"
            else:
                assert (await response(reader))[1] == BODY
                assert await reader.read() == b""

    run(loop, scene)


@LOOPS
def test_a_client_that_has_gone_leaves_nothing(loop: Loop, tls: TlsFiles | None) -> None:
    async def scene(s: Stage) -> None:
        store = asked_of(s)
        async with s.client() as (_, writer):
            writer.write(ASKED)
            await waiting(s)
            [connection] = s.front.connections
            connection.abort()
        await until(lambda: not s.front.connections)
        store.set_result(ANSWER)
        for _ in range(100):
            await asyncio.sleep(0)
        assert s.behind.accepted.empty()
        assert s.front.answers is not None
        assert s.front.answers._under_way == 0

    run(loop, scene, tls=tls)


@LOOPS
def test_more_than_there_are_threads_for_take_turns_behind(loop: Loop) -> None:
    async def scene(s: Stage) -> None:
        store = asked_of(s)
        clients = []
        for _ in range(COLD_READS + 1):
            reader, writer = await asyncio.open_connection(sock=connected(s.address))
            clients.append((reader, writer))
            writer.write(ASKED)
        await waiting(s, COLD_READS)
        heard, said = await s.behind.accepted.get()
        assert await heard.readexactly(len(ASKED)) == ASKED
        store.set_result(ANSWER)
        said.write(b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n")
        bodies = sorted([(await response(reader))[1] for reader, _ in clients])
        assert bodies == [b"", *[BODY] * COLD_READS]
        for _, writer in clients:
            writer.close()

    run(loop, scene)


@LOOPS
def test_a_server_that_stops_answers_what_it_was_asked(loop: Loop, tls: TlsFiles | None) -> None:
    async def scene(s: Stage) -> None:
        store = asked_of(s)
        async with s.client() as (reader, writer):
            writer.write(ASKED)
            await waiting(s)
            s.front.stop()
            store.set_result(ANSWER)
            assert (await response(reader))[1] == BODY
            assert await reader.read() == b""

    run(loop, scene, tls=tls)
