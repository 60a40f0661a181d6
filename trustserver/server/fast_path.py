"""Take the connections of plain HTTP: answer hot reads here, and hand everything else to the server behind.

A cached response is ready before it is asked for, and an HTTP server around it costs several times as much (ADR 0017).
So a request that is nothing but a cached path and headers that cannot change the response is answered from its bytes.
The first other request of a connection takes the connection to the server behind, byte for byte and for good. This is
no proxy: it understands one kind of request and changes none.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import re
import socket
import sys
import termios
from collections.abc import Callable
from email.utils import formatdate
from typing import Final, Protocol, cast

from trustserver.responses.cache import ReadyResponse
from trustserver.responses.selection import select
from trustserver.server.tunnel import BACKLOG, Tunnel, pause, resume

LONGEST_REQUEST: Final = 4096
"""Longest request, in bytes, that is read here."""
IDLE_SWEEPS: Final = 3
"""An idle connection, or one whose client reads nothing, is ended at the third sweep in a row; a tunnel only for the
latter."""
_JOINED: Final = 65536
"""Bodies up to this are copied behind their head, which costs less than a second write."""

# Headers that change no cached response, except accept-encoding and the simplest condition. Everything else is for the
# server behind: other conditions, ranges, bodies, closing.
_HOT: Final = re.compile(
    rb"GET (/[!-~]*) HTTP/1\.1\r\n"
    rb"((?:(?i:(?:host|user-agent|accept|accept-encoding|accept-language|cache-control|pragma):[ -~]*|"
    rb"connection: ?keep-alive|"
    rb'if-none-match: ?(?-i:"[0-9a-f]{64}"))\r\n)+)\r\n'
)
_HOST: Final = b"\r\nhost:"
_CONDITION: Final = b"\r\nif-none-match:"
_CODING: Final = b"\r\naccept-encoding:"


def hot_request(request: bytes) -> tuple[bytes, bytes] | None:
    """Return path and headers of one complete GET without body or range; None for anything else.

    The headers are in lower case, and each begins with CR LF.
    """
    found = _HOT.fullmatch(request) if len(request) <= LONGEST_REQUEST else None
    if found is None:
        return None
    headers = b"\r\n" + found[2].lower()
    if headers.count(_HOST) != 1 or headers.count(_CONDITION) > 1:
        return None
    return found[1], headers


class HotReads(Protocol):
    """The reads that can be answered at once. `answered` counts them, on one event loop."""

    answered: int

    @property
    def seconds(self) -> Callable[[], float]:
        """The clock: seconds since 1970."""

    def ready(self, path: bytes) -> ReadyResponse | None:
        """Return the response that may be given now under this raw path; None if there is none."""


class Front:
    """Takes connections on one socket. `behind`: address of the server behind, a Unix socket of this process."""

    def __init__(self, *, reads: HotReads, behind: str) -> None:
        self.behind = behind
        self.sweeps = 0
        self.connections: set[Connection] = set()
        self._none = asyncio.Event()
        self._none.set()
        self._reads = reads
        self._second = 0
        self._date = b""
        self._server: asyncio.Server | None = None

    async def start(self, bound: socket.socket) -> None:
        """Take connections on a bound socket."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), sock=bound, backlog=BACKLOG)

    def stop(self) -> None:
        """Take no more connections, and end those that are no tunnels; answers that are on their way are sent."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.end()

    def opened(self, connection: Connection) -> None:
        """Count a new connection."""
        self.connections.add(connection)
        self._none.clear()

    def lost(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        self.connections.discard(connection)
        if not self.connections:
            self._none.set()

    async def ended(self, *, seconds: float = 0) -> None:
        """Wait until no connection is open; call it after `stop` and after the end of the server behind.

        `seconds`: how long responses that are being sent may still take; then their connections are aborted.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._none.wait()
        for connection in list(self.connections):
            connection.abort()
        await self._none.wait()

    def sweep(self) -> None:
        """End connections that do nothing. Call it at regular intervals."""
        self.sweeps += 1
        for connection in list(self.connections):
            connection.end_if_idle()

    def answer(self, request: bytes) -> tuple[bytes, bytes] | None:
        """Return head and body of the response; None if the request is not one that is answered here."""
        hot = hot_request(request)
        if hot is None:
            return None
        path, headers = hot
        answer = self._reads.ready(path)
        if answer is None or (answer.packable and headers.count(_CODING) > 1):
            return None
        codings = _value(headers, _CODING) if answer.packable else b""
        chosen = select(answer, _value(headers, _CONDITION), codings)
        if chosen is None:
            return None  # the server behind has to make it first
        second = int(self._reads.seconds())
        if second != self._second:
            self._second, self._date = second, b"date: " + formatdate(second, usegmt=True).encode() + b"\r\n\r\n"
        self._reads.answered += 1
        return chosen.head + self._date, chosen.body["body"]


def _value(headers: bytes, name: bytes) -> bytes:
    """Return the value of a header; empty if there is none."""
    return headers.partition(name)[2].partition(b"\r\n")[0].strip()


class Connection(asyncio.Protocol):
    """One client's connection: hot reads, until a request is none; from then on a tunnel."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._client: asyncio.Transport
        self._tunnel: Tunnel | None = None
        self._heard = front.sweeps
        self._given = 0
        self._taken = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._client = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self._front.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel.forward(data)
            return
        self._heard = self._front.sweeps
        answer = self._front.answer(data)
        if answer is None:
            self._tunnel = Tunnel.open(self._client, self.give, self._front.behind, data)
        elif len(answer[1]) <= _JOINED:
            self.give(b"".join(answer))
        else:
            for part in answer:
                self.give(part)

    def give(self, data: bytes) -> None:
        """Send to the client."""
        self._given += len(data)
        self._client.write(data)

    def eof_received(self) -> bool:
        """Whether to stay open: what the client asked before it stopped talking is still answered."""
        if self._tunnel is None:
            return False  # answers that are on their way are sent first
        self._tunnel.forward_eof()
        return True

    def pause_writing(self) -> None:
        if self._tunnel is not None:
            self._tunnel.pause()
        else:
            pause(self._client)  # who does not take answers asks no more questions

    def resume_writing(self) -> None:
        if self._tunnel is not None:
            self._tunnel.resume()
        else:
            resume(self._client)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._front.lost(self)
        if self._tunnel is not None:
            self._tunnel.close()

    def end(self) -> None:
        """Close, after what is on its way. A tunnel ends with the server behind."""
        if self._tunnel is None:
            self._client.close()

    def abort(self) -> None:
        """Close at once."""
        self._client.abort()
        if self._tunnel is not None:
            self._tunnel.abort()

    def end_if_idle(self) -> None:
        """End a connection whose client neither sends nor reads.

        What the client of a tunnel sends is for the server behind to watch. That server holds what the client does not
        read, without a time limit: so this looks after it.
        """
        unsent = self._client.get_write_buffer_size() + _in_kernel(self._client)
        taken = self._given - unsent
        if taken > self._taken or (self._tunnel is not None and not unsent):
            self._heard = self._front.sweeps
        self._taken = taken
        if self._front.sweeps - self._heard >= IDLE_SWEEPS:
            self._client.abort()


def _in_kernel(transport: asyncio.Transport) -> int:
    """Bytes that the kernel has taken and the other end has not: some megabytes, minutes for a slow reader (tcp(7))."""
    queued = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(queued, sys.byteorder)
