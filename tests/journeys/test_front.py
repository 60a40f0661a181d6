"""Connections to the front of plain HTTP: what it leaves to the server behind, and that nothing is lost between."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import secrets
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import uvloop

from trustserver.app import now
from trustserver.process.tls import TlsFiles, self_signed, server_context
from trustserver.responses.cache import CACHE_REVALIDATE, ReadyResponse, file_response
from trustserver.server.clients import TunnelNames
from trustserver.server.connection_limits import ConnectionLimits
from trustserver.server.fast_path import HotAnswers
from trustserver.server.front import IDLE_SWEEPS, Front
from trustserver.server.tunnel import inner_socket

PATH = b"/tuf/registry.example.com/app/metadata/timestamp.json"
BIG = b"/tuf/registry.example.com/app/metadata/1.targets.json"
HOT = b"GET " + PATH + b" HTTP/1.1\r\nHost: trust.example.com\r\n\r\n"
COLD = b"GET /healthz HTTP/1.1\r\nHost: trust.example.com\r\n\r\n"
ANSWER = file_response(b'{"a":1}', "ab" * 32, cache=CACHE_REVALIDATE)
LARGE = file_response(b"x" * 3_000_000, "cd" * 32, cache=CACHE_REVALIDATE)

LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
Loop = Callable[[], asyncio.AbstractEventLoop]


class Reads:
    """The answers of this test."""

    def __init__(self) -> None:
        self.answered = 0
        self.answers = {PATH: ANSWER, BIG: LARGE}
        self.at = 1_700_000_000.0

    def seconds(self) -> float:
        return self.at

    def ready(self, path: bytes) -> ReadyResponse | None:
        return self.answers.get(path)


class Behind:
    """The server behind: keeps what it hears, says what the test wants."""

    def __init__(self) -> None:
        self.accepted: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, listening: socket.socket) -> asyncio.Server:
        async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.writers.append(writer)
            await self.accepted.put((reader, writer))

        return await asyncio.start_unix_server(keep, sock=listening)


def connected(address: tuple[str, int]) -> socket.socket:
    """A client's socket."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # so that little is on its way unread
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        client.connect(address)
    except OSError:
        client.close()
        raise
    client.setblocking(False)
    return client


@dataclass(kw_only=True)
class Stage:
    front: Front
    reads: Reads
    behind: Behind
    address: tuple[str, int]
    tls: TlsFiles | None = None

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        trust = None if self.tls is None else ssl.create_default_context(cafile=self.tls.ca)
        name = None if trust is None else "localhost"
        reader, writer = await asyncio.open_connection(sock=connected(self.address), ssl=trust, server_hostname=name)
        try:
            yield reader, writer
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def stage(tls: TlsFiles | None = None, limits: ConnectionLimits | None = None) -> AsyncIterator[Stage]:
    listening, inner = inner_socket()
    bound = socket.create_server(("127.0.0.1", 0))
    bound.setblocking(False)
    reads, behind = Reads(), Behind()
    front = Front(
        answers=HotAnswers(reads),
        behind=inner,
        tls=None if tls is None else server_context(tls),
        limits=limits or ConnectionLimits(total=1000, share=1000),
        names=TunnelNames([Path(tempfile.gettempdir())]),
        head_seconds=60,
        files=1_000_000,
    )
    server = await behind.serve(listening)
    address = bound.getsockname()
    await front.start(bound)
    try:
        yield Stage(front=front, reads=reads, behind=behind, address=address, tls=tls)
    finally:
        front.stop()
        server.close()
        for writer in behind.writers:
            writer.transport.abort()
        await front.ended()
        await server.wait_closed()


def run(
    loop: Loop,
    scene: Callable[[Stage], Coroutine[None, None, None]],
    *,
    tls: TlsFiles | None = None,
    limits: ConnectionLimits | None = None,
) -> None:
    async def play() -> None:
        async with asyncio.timeout(60), stage(tls, limits) as built:
            await scene(built)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(play())


async def until(is_true: Callable[[], bool]) -> None:
    """Let the event loop go round until something is true."""
    for _ in range(100_000):
        if is_true():
            return
        await asyncio.sleep(0)
    raise AssertionError


async def response(reader: asyncio.StreamReader) -> tuple[list[bytes], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    length = next(int(line.partition(b":")[2]) for line in head if line.lower().startswith(b"content-length:"))
    return head, await reader.readexactly(length)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return self_signed(tmp_path_factory.mktemp("tls") / "tls", host="a", at=now())


@LOOPS
def test_hot_reads_are_answered_without_the_server_behind(loop: Loop) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            for second in (0, 0, 1):
                s.reads.at += second
                writer.write(HOT)
                head, body = await response(reader)
                assert body == b'{"a":1}'
                assert head[0] == b"HTTP/1.1 200 OK"
                assert b'etag: "' + b"ab" * 32 + b'"' in head
                assert f"date: Tue, 14 Nov 2023 22:13:{20 + int(s.reads.at) % 10:02d} GMT".encode() in head
            writer.write(HOT.replace(PATH, BIG))
            assert (await response(reader))[1] == b"x" * 3_000_000
        assert s.reads.answered == 4
        assert s.behind.accepted.empty()

    run(loop, scene)


@LOOPS
def test_what_the_client_has_already_is_not_sent_again(loop: Loop) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            for name, tag, status in (
                (b"If-None-Match", b"ab", b"304 Not Modified"),
                (b"If-None-Match", b"cd", b"200 OK"),
                (b"User-Agent: If-None-Match", b"ab", b"200 OK"),
            ):
                writer.write(HOT[:-2] + name + b': "' + tag * 32 + b'"\r\n\r\n')
                head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
                assert head[0] == b"HTTP/1.1 " + status
                assert b'etag: "' + b"ab" * 32 + b'"' in head
                if status == b"200 OK":
                    assert await reader.readexactly(7) == b'{"a":1}'
        assert s.behind.accepted.empty()

    run(loop, scene)


@LOOPS
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda reads: reads.answers.clear(), id="not in the view, or due for renewal"),
        pytest.param(
            lambda reads: reads.answers.update({PATH: replace(ANSWER, packable=True)}), id="perhaps compressed"
        ),
    ],
)
def test_what_is_not_ready_goes_to_the_server_behind(loop: Loop, change: Callable[[Reads], None]) -> None:
    request = HOT.replace(b"\r\n\r\n", b"\r\nAccept-Encoding: gzip\r\n\r\n")

    async def scene(s: Stage) -> None:
        change(s.reads)
        async with s.client() as (reader, writer):
            writer.write(request)
            heard, said = await s.behind.accepted.get()
            assert await heard.readexactly(len(request)) == request
            said.write(b"from behind")
            assert await reader.readexactly(11) == b"from behind"
        assert s.reads.answered == 0

    run(loop, scene)


@LOOPS
def test_a_compressed_form_is_given_to_those_who_want_it(loop: Loop) -> None:
    packed = file_response(b"packed", "ab" * 32, cache=CACHE_REVALIDATE)
    plain = replace(ANSWER, packable=True, packed=packed)

    async def scene(s: Stage) -> None:
        s.reads.answers[PATH] = plain
        async with s.client() as (reader, writer):
            for wanted, body in ((b"gzip", b"packed"), (b"gzip;q=0", b'{"a":1}'), (b"br", b'{"a":1}')):
                writer.write(HOT[:-2] + b"Accept-Encoding: " + wanted + b"\r\n\r\n")
                assert (await response(reader))[1] == body
            writer.write(HOT[:-2] + b'Accept-Encoding: gzip\r\nIf-None-Match: "' + b"ab" * 32 + b'"\r\n\r\n')
            told = await reader.readuntil(b"\r\n\r\n")
            assert told.startswith(b"HTTP/1.1 304 "), "either form will do for who takes both"
        async with s.client() as (_, writer):  # two preferences: not for the front to judge
            writer.write(HOT[:-2] + b"Accept-Encoding: gzip\r\nAccept-Encoding: br\r\n\r\n")
            await s.behind.accepted.get()

    run(loop, scene)


@LOOPS
def test_the_first_other_request_takes_the_connection_behind_for_good(loop: Loop) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            writer.write(HOT)
            await response(reader)
            writer.write(COLD)
            heard, said = await s.behind.accepted.get()
            assert await heard.readexactly(len(COLD)) == COLD
            writer.write(HOT)
            assert await heard.readexactly(len(HOT)) == HOT
            said.write(b"one ")
            said.write(b"two")
            assert await reader.readexactly(7) == b"one two"
        assert s.reads.answered == 1

    run(loop, scene)


@LOOPS
@pytest.mark.parametrize("pieces", [[HOT[:10], HOT[10:]], [HOT + HOT], [HOT + COLD], [COLD + HOT], [HOT + b"\r\n"]])
def test_requests_in_other_pieces_reach_the_server_behind_byte_for_byte(loop: Loop, pieces: list[bytes]) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (_, writer):
            writer.write(pieces[0])
            heard, _ = await s.behind.accepted.get()
            for piece in pieces[1:]:
                writer.write(piece)
            every = b"".join(pieces)
            assert await heard.readexactly(len(every)) == every

    run(loop, scene)


@LOOPS
def test_large_bodies_pass_both_ways_and_slow_readers_get_all(loop: Loop) -> None:
    upload, download = secrets.token_bytes(6_000_000), secrets.token_bytes(7_000_000)

    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\n\r\n" + upload)
            heard, said = await s.behind.accepted.get()
            assert await heard.readuntil(b"\r\n\r\n")
            said.write(download)  # before anything of the upload is read, and before anybody reads this
            assert await heard.readexactly(len(upload)) == upload
            assert await reader.readexactly(len(download)) == download

    run(loop, scene)


@LOOPS
def test_neither_side_is_read_faster_than_the_other_takes(loop: Loop) -> None:
    """Otherwise one client could have the server hold any amount of its upload, or of the answer."""
    megabyte = bytes(1_000_000)

    async def scene(s: Stage) -> None:
        async with s.client() as (_, writer):
            writer.write(COLD)
            _, said = await s.behind.accepted.get()
            [connection] = s.front.connections
            assert connection._tunnel is not None
            assert connection._tunnel._server is not None
            for _ in range(30):
                writer.write(megabyte)
                said.write(megabyte)
                for _ in range(20):
                    await asyncio.sleep(0)
            assert connection._client.get_write_buffer_size() < 2_000_000
            assert connection._tunnel._server.get_write_buffer_size() < 2_000_000

    run(loop, scene)


@LOOPS
def test_a_client_that_has_said_all_still_gets_the_answer(loop: Loop) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            writer.write(COLD)
            heard, said = await s.behind.accepted.get()
            writer.write_eof()
            assert await heard.read() == COLD
            said.write(b"late answer")
            said.close()
            assert await reader.read() == b"late answer"

    run(loop, scene)


@LOOPS
def test_the_last_hot_answer_is_sent_whole_to_a_client_that_has_said_all(loop: Loop) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            writer.write(HOT.replace(PATH, BIG))
            writer.write_eof()
            assert (await response(reader))[1] == b"x" * 3_000_000
            assert await reader.read() == b""

    run(loop, scene)


@LOOPS
def test_either_end_that_goes_takes_the_other_with_it(loop: Loop) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            writer.write(COLD)
            _, said = await s.behind.accepted.get()
            said.write(b"bye")
            said.close()
            assert await reader.read() == b"bye"
        async with s.client() as (_, writer):
            writer.write(COLD)
            heard, _ = await s.behind.accepted.get()
            writer.close()
            assert await heard.read() == COLD

    run(loop, scene)


@LOOPS
def test_no_server_behind_ends_the_connection_and_is_logged(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(s: Stage) -> None:
        s.front.behind = f"\0nobody-{secrets.token_hex(8)}"
        async with s.client() as (reader, writer):
            writer.write(COLD)
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        assert "takes no connection" in caplog.text

    run(loop, scene)


@LOOPS
def test_without_a_file_for_the_way_behind_the_connection_ends(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    """Left open, it would keep its own file for ever, also after its client has gone: so a flood would never end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            writer.write(HOT)
            await response(reader)
            lowest_free = os.dup(0)
            os.close(lowest_free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
            writer.write(COLD)
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert [vars(record)["reason"] for record in caplog.records] == ["[Errno 24] Too many open files"]

    try:
        run(loop, scene)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@LOOPS
def test_who_takes_no_answers_asks_no_more(loop: Loop) -> None:
    """Otherwise one client could have the server hold any number of answers for it."""
    request = HOT.replace(PATH, BIG)

    async def scene(s: Stage) -> None:
        client = connected(s.address)
        try:
            for _ in range(50):
                with contextlib.suppress(BlockingIOError):
                    client.send(request)
                for _ in range(20):
                    await asyncio.sleep(0)
            assert s.reads.answered < 5
        finally:
            client.close()

    run(loop, scene)


@LOOPS
def test_idle_connections_end_at_the_third_sweep(loop: Loop) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (silent, _), s.client() as (reader, writer), s.client() as (tunnel, begin):
            begin.write(COLD)
            _, said = await s.behind.accepted.get()
            writer.write(HOT)
            await response(reader)
            for _ in range(IDLE_SWEEPS - 1):
                s.front.sweep()
            writer.write(HOT)
            await response(reader)
            s.front.sweep()
            with contextlib.suppress(ConnectionResetError):
                assert await silent.read() == b""
            writer.write(HOT)
            assert (await response(reader))[1] == b'{"a":1}'
            for _ in range(IDLE_SWEEPS + 1):
                s.front.sweep()
            said.write(b"still here")
            assert await tunnel.readexactly(10) == b"still here"

    run(loop, scene)


@LOOPS
def test_a_reader_that_takes_nothing_is_ended_and_a_slow_one_is_not(loop: Loop) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            writer.write(HOT.replace(PATH, BIG))
            await reader.readexactly(100)
            [connection] = s.front.connections
            for taken in range(6):
                await reader.readexactly(400_000)
                s.front.sweep()
                assert connection in s.front.connections, taken
            for _ in range(IDLE_SWEEPS + 1):
                s.front.sweep()
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await reader.readexactly(LARGE.size)

    run(loop, scene)


@LOOPS
def test_a_stop_ends_what_is_idle_and_sends_what_is_on_its_way(loop: Loop) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (idle, _), s.client() as (reader, writer), s.client() as (tunnel, begin):
            begin.write(COLD)
            _, said = await s.behind.accepted.get()
            writer.write(HOT.replace(PATH, BIG))
            await reader.readexactly(10)
            s.front.stop()
            assert await idle.read() == b""
            assert (await reader.read()).endswith(b"x" * 2_000_000)
            said.write(b"finished")
            said.close()
            assert await tunnel.read() == b"finished"
            with pytest.raises(OSError, match=r"."):
                connected(s.address)

    run(loop, scene)


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
def test_with_tls_a_large_answer_is_encrypted_as_it_is_taken(loop: Loop, tls: TlsFiles) -> None:
    """Otherwise each slow reader would have the server hold a whole copy of the file."""

    async def scene(s: Stage) -> None:
        s.reads.answers[BIG] = more = file_response(b"x" * 12_000_000, "cd" * 32, cache=CACHE_REVALIDATE)
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
