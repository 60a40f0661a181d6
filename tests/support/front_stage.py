"""The front of the server, with answers of its own and a server behind it that says what a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop

from trustserver.process.tls import ServedCertificate, TlsFiles
from trustserver.responses import cache_control
from trustserver.responses.in_flight import BodiesInFlight
from trustserver.responses.ready import ReadyResponse
from trustserver.responses.tuf import file_response
from trustserver.server.clients import TunnelNames
from trustserver.server.connection_limits import ConnectionLimits
from trustserver.server.fast_path import HotAnswers
from trustserver.server.front import Front
from trustserver.server.tunnel import inner_socket

PATH = b"/tuf/registry.example.com/app/metadata/timestamp.json"
BIG = b"/tuf/registry.example.com/app/metadata/1.targets.json"
HOT = b"GET " + PATH + b" HTTP/1.1\r\nHost: trust.example.com\r\n\r\n"
COLD = b"GET /healthz HTTP/1.1\r\nHost: trust.example.com\r\n\r\n"
ANSWER = file_response(b'{"a":1}', "ab" * 32, cache=cache_control.REVALIDATE)
LARGE = file_response(b"x" * 3_000_000, "cd" * 32, cache=cache_control.REVALIDATE)

LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
Loop = Callable[[], asyncio.AbstractEventLoop]


class Reads:
    """The answers of this test."""

    def __init__(self) -> None:
        self.answered = 0
        self.answers = {PATH: ANSWER, BIG: LARGE}
        self.stored: dict[bytes, asyncio.Future[ReadyResponse | None]] = {}
        """What the store will have said, by path, when the test says so."""
        self.counted: list[tuple[bytes, int]] = []
        self.at = 1_700_000_000.0

    def seconds(self) -> float:
        return self.at

    def ready(self, path: bytes) -> ReadyResponse | None:
        return self.answers.get(path)

    def may_be_stored(self, path: bytes) -> bool:
        return path in self.stored

    async def read(self, path: bytes) -> ReadyResponse | None:
        return await asyncio.shield(self.stored[path])

    def count(self, path: bytes, status: int) -> None:
        self.counted.append((path, status))


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
    bodies = BodiesInFlight()
    front = Front(
        answers=HotAnswers(reads, may_hold=bodies.may_hold),
        behind=inner,
        tls=None if tls is None else ServedCertificate(tls).context,
        limits=limits or ConnectionLimits(total=1000, share=1000),
        names=TunnelNames([Path(tempfile.gettempdir())]),
        bodies=bodies,
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
