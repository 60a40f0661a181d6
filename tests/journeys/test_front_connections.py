"""Connections to the front: TLS, deadlines, and who goes when there is no room."""

from __future__ import annotations

import asyncio
import contextlib
import secrets

import pytest

from tests.support.front_stage import (
    BIG,
    COLD,
    HOT,
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
from trustserver.responses import cache_control
from trustserver.responses.tuf import file_response
from trustserver.server import front
from trustserver.server.connection_limits import ConnectionLimits
from trustserver.server.connection_timeouts import IDLE_SWEEPS, LEAST_BYTES


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return self_signed_files(tmp_path_factory.mktemp("tls") / "tls", host="a", at=now())


@LOOPS
def test_a_client_that_wants_the_connection_closed_gets_that(loop: Loop, tls: TlsFiles) -> None:
    async def scene(s: Stage) -> None:
        for path, body in ((PATH, b'{"a":1}'), (BIG, b"x" * 3_000_000)):
            async with s.client() as (reader, writer):
                writer.write(HOT.replace(PATH, path).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                head, got = await response(reader)
                assert b"connection: close" in head
                assert got == body
                assert await reader.read() == b"", "an end that TLS confirms, too"
        assert s.behind.accepted.empty()

    run(loop, scene)
    run(loop, scene, tls=tls)


@LOOPS
def test_with_tls_hot_reads_are_answered_and_the_rest_reaches_the_server_behind(loop: Loop, tls: TlsFiles) -> None:
    upload, download = secrets.token_bytes(3_000_000), secrets.token_bytes(3_000_000)

    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            for path, body in ((PATH, b'{"a":1}'), (BIG, b"x" * 3_000_000), (PATH, b'{"a":1}')):
                writer.write(HOT.replace(PATH, path))
                assert (await response(reader))[1] == body
            assert s.reads.answered == 3
            writer.write(COLD + upload)
            heard, said = await s.behind.accepted.get()
            assert await heard.readexactly(len(COLD) + len(upload)) == COLD + upload
            said.write(download)
            assert await reader.readexactly(len(download)) == download
            said.close()
            assert await reader.read() == b""

    run(loop, scene, tls=tls)


@LOOPS
def test_with_tls_many_small_records_arrive_whole_and_in_order(loop: Loop, tls: TlsFiles) -> None:
    """They are decrypted in turns, and none before the tunnel is connected."""
    pieces = [secrets.token_bytes(20 + number % 300) for number in range(4_000)]

    async def scene(s: Stage) -> None:
        async with s.client() as (_, writer):
            for piece in [COLD, *pieces]:
                writer.write(piece)
            heard, _ = await s.behind.accepted.get()
            whole = COLD + b"".join(pieces)
            assert await heard.readexactly(len(whole)) == whole

    run(loop, scene, tls=tls)


@LOOPS
def test_with_tls_a_large_answer_is_encrypted_as_it_is_taken(loop: Loop, tls: TlsFiles) -> None:
    """Otherwise each slow reader would have the server hold a whole copy of the file."""

    async def scene(s: Stage) -> None:
        s.reads.answers[BIG] = more = file_response(b"x" * 12_000_000, "cd" * 32, cache=cache_control.REVALIDATE)
        async with s.client() as (reader, writer):
            writer.write(HOT.replace(PATH, BIG))
            await reader.readexactly(100)  # a stream's reader takes no more than twice its limit
            [connection] = s.front.connections
            await until(lambda: connection._is_stuck)
            assert connection._client.get_write_buffer_size() < 200_000
            assert len(connection._unsent) > 1_000_000
            assert connection._unsent.obj is more.body["body"], "no copy"
            for _ in range(IDLE_SWEEPS + 1):
                s.front.sweep()
            assert connection._client.is_closing()

    run(loop, scene, tls=tls)


@LOOPS
def test_with_tls_plain_bytes_end_the_connection(loop: Loop, tls: TlsFiles) -> None:
    async def scene(s: Stage) -> None:
        with connected(s.address) as client:
            await asyncio.get_running_loop().sock_sendall(client, HOT)
            with contextlib.suppress(ConnectionResetError):
                assert b"HTTP" not in await asyncio.get_running_loop().sock_recv(client, 100)
        assert s.behind.accepted.empty()
        assert s.reads.answered == 0

    run(loop, scene, tls=tls)


@LOOPS
@pytest.mark.parametrize("first", [b"", b"GET /x HTTP/1.1\r\nHost:", b"\x16\x03\x01\x02\x00\x01"])
@pytest.mark.parametrize("with_tls", [False, True])
def test_who_asks_nothing_in_time_is_ended(loop: Loop, tls: TlsFiles, first: bytes, with_tls: bool) -> None:  # noqa: FBT001
    async def scene(s: Stage) -> None:
        async with s.client() as (asked, hot):
            hot.write(HOT)
            await response(asked)
            with connected(s.address) as client:
                await asyncio.get_running_loop().sock_sendall(client, first)
                await until(lambda: len(s.front.silent) == 1)
                if first and not with_tls:
                    await s.behind.accepted.get()
                clock = asyncio.get_running_loop().time()
                s.front.expire(at=clock)
                assert len(s.front.silent) == 1, "there is time left"
                s.front.expire(at=clock + 61)
                with contextlib.suppress(ConnectionResetError):
                    assert await asyncio.get_running_loop().sock_recv(client, 100) == b""
            hot.write(HOT)
            assert (await response(asked))[1] == b'{"a":1}'

    run(loop, scene, tls=tls if with_tls else None)


@LOOPS
def test_a_request_that_the_application_has_seen_is_in_time(loop: Loop) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            writer.write(COLD)
            _, said = await s.behind.accepted.get()
            [name] = s.front.names._connections
            connection = s.front.names.connection(name)
            assert connection is not None
            assert connection.peer[0] == "127.0.0.1"
            connection.request_begins()
            s.front.expire(at=asyncio.get_running_loop().time() + 61)
            said.write(b"answer")
            assert await reader.readexactly(6) == b"answer"
            connection.request_ends()
            said.close()
            assert await reader.read() == b""
        await until(lambda: not s.front.connections)
        assert s.front.names.connection(name) is None
        assert s.front.limits.count == 0

    run(loop, scene)


@LOOPS
def test_a_newcomer_takes_the_place_of_who_waits(loop: Loop, tls: TlsFiles) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (first, _), s.client() as (second, asks):
            asks.write(HOT)
            await response(second)
            async with s.client() as (third, writer):
                writer.write(HOT)
                assert (await response(third))[1] == b'{"a":1}'
                with contextlib.suppress(ConnectionResetError):
                    assert await first.read() == b""
                asks.write(HOT)
                assert (await response(second))[1] == b'{"a":1}'
        assert (s.front.limits.ended, s.front.limits.refused) == (1, 0)

    run(loop, scene, limits=ConnectionLimits(total=2, share=2))
    run(loop, scene, tls=tls, limits=ConnectionLimits(total=2, share=2))


@LOOPS
def test_who_is_refused_notices(loop: Loop) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            writer.write(COLD)
            await s.behind.accepted.get()
            [connection] = s.front.connections
            connection.request_begins()
            with connected(s.address) as client, contextlib.suppress(ConnectionResetError):
                assert await asyncio.get_running_loop().sock_recv(client, 100) == b""
            assert s.front.limits.refused == 1
            connection.request_ends()
            async with s.client() as (other, asks):
                asks.write(HOT)
                await response(other)
            assert await reader.read() == b""

    run(loop, scene, limits=ConnectionLimits(total=1, share=1))


def large(s: Stage, size: int = 12_000_000) -> bytes:
    """Have the front answer with a file that does not fit into the kernel's buffers."""
    s.reads.answers[BIG] = file_response(b"x" * size, "cd" * 32, cache=cache_control.REVALIDATE)
    return HOT.replace(PATH, BIG)


@LOOPS
@pytest.mark.parametrize("with_tls", [False, True])
def test_a_body_counts_while_it_is_not_sent_and_goes_when_there_is_no_memory(
    loop: Loop,
    tls: TlsFiles,
    with_tls: bool,  # noqa: FBT001
) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (first, asks), s.client() as (second, asks_too):
            for writer in (asks, asks_too):
                writer.write(large(s) if writer is asks else HOT.replace(PATH, BIG))
            await until(lambda: len([c for c in s.front.connections if c._reading is not None]) == 2)
            lost = list(s.front.connections)
            assert s.front.bodies.size == 12_000_000, "one body, two readers"
            assert (await response(second))[1] == b"x" * 12_000_000
            await until(lambda: len([c for c in s.front.connections if c._reading is not None]) == 1)
            other = s.front.bodies.read(bytes(s.front.bodies._limit), lambda: None)
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await response(first)
            other.release()
        await until(lambda: not s.front.connections)
        assert s.front.bodies.size == 0
        assert not any(connection._unsent for connection in lost), "what is lost keeps no body"

    run(loop, scene, tls=tls if with_tls else None)


@LOOPS
def test_a_large_answer_for_which_there_is_no_memory_is_left_to_the_server_behind(loop: Loop) -> None:
    """It can send it in pieces from the store. Small answers, and what others are sent anyhow, are given here."""

    async def scene(s: Stage) -> None:
        half = s.front.bodies.read(bytes(s.front.bodies._limit // 2), lambda: None)
        async with s.client() as (reader, writer):
            writer.write(HOT)
            assert (await response(reader))[1] == b'{"a":1}'
            writer.write(HOT.replace(PATH, BIG))
            heard, said = await s.behind.accepted.get()
            assert await heard.readuntil(b"\r\n\r\n") == HOT.replace(PATH, BIG)
            said.close()
            assert await reader.read() == b""
        assert s.reads.answered == 1, "who answers counts"
        half.release()
        async with s.client() as (reader, writer):
            writer.write(HOT.replace(PATH, BIG))
            assert len((await response(reader))[1]) == 3_000_000
        assert s.behind.accepted.empty()

    run(loop, scene)


@LOOPS
def test_of_many_slow_readers_the_one_ends_that_has_taken_nothing_for_longest(loop: Loop, tls: TlsFiles) -> None:
    async def scene(s: Stage) -> None:
        s.front.readers = ConnectionLimits(total=2, share=2)
        request = large(s)
        async with s.client() as (first, a), s.client() as (second, b), s.client() as (third, c):
            for number, writer in enumerate((a, b)):
                writer.write(request)
                await until(lambda number=number: s.front.readers.count == number + 1)  # type: ignore[misc]
            c.write(request)
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await response(first)
            for reader in (second, third):
                assert (await response(reader))[1] == b"x" * 12_000_000
            assert (s.front.readers.ended, s.front.readers.count) == (1, 0)

    run(loop, scene, tls=tls)


@LOOPS
def test_without_files_to_open_newcomers_are_refused_and_no_tunnel_is_begun(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    """The server behind takes no connection any more, ever, once it could not open a file for it."""

    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            writer.write(HOT)
            await response(reader)
            [connection] = s.front.connections
            connection.request_begins()  # so that it does not give way
            s.front.files = 5
            async with s.client() as (refused, _):
                with contextlib.suppress(ConnectionResetError):
                    assert await refused.read() == b""
            assert s.front.limits.refused == 1
            connection.request_ends()
            writer.write(COLD)
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            assert s.behind.accepted.empty()
        assert "takes no connection" in caplog.text

    run(loop, scene)


@LOOPS
@pytest.mark.parametrize(("each", "ends"), [(LEAST_BYTES - 1, True), (LEAST_BYTES, False)])
def test_who_takes_too_little_between_sweeps_is_ended(
    loop: Loop,
    each: int,
    ends: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            writer.write(large(s))
            await reader.readexactly(100)
            [connection] = s.front.connections
            await until(lambda: connection._is_stuck)
            untaken = [connection._given]

            def in_kernel(_: object) -> int:
                untaken[0] -= each
                return untaken[0] - connection._client.get_write_buffer_size()

            monkeypatch.setattr(front, "_in_kernel", in_kernel)
            for _ in range(IDLE_SWEEPS + 1):
                s.front.sweep()
            assert connection._client.is_closing() is ends

    run(loop, scene)
