"""Forward a connection of the fast path to the HTTP server behind it, over a socket within this process.

All bytes are forwarded unchanged, in both directions. Why there are two servers: ADR 0017.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import secrets
import socket
from collections.abc import Callable
from typing import Final, Protocol, cast

BACKLOG: Final = 1024
_PIECE: Final = 65_536
"""The most bytes that are read from the HTTP server at one time: what a slow reader makes this side hold."""
_FILES_LEFT: Final = 8
"""How many files the process must still be able to open before a tunnel is: the HTTP server needs one for it, and
takes no connection any more, ever, once it could not open one."""

_LAST_WORDS: Final = 65_536
"""Longest answer, in bytes, of an HTTP server that closes before it has read the request: a refusal."""

_log = logging.getLogger(__name__)


def pause(transport: asyncio.Transport) -> None:
    """Stop reading from a connection, unless it is closing."""
    if not transport.is_closing():
        transport.pause_reading()


def resume(transport: asyncio.Transport) -> None:
    """Read from a connection again, unless it is closing."""
    if not transport.is_closing():
        transport.resume_reading()


class Way(Protocol):
    """How the HTTP server is reached. trustserver.server.fast_path.Front provides it."""

    @property
    def behind(self) -> str:
        """The address of the HTTP server's socket."""

    @property
    def files(self) -> int:
        """How many files the process may open."""

    @property
    def read_buffer(self) -> bytearray:
        """The buffer that all tunnels of this event loop read into."""


def read_buffer() -> bytearray:
    """Make the buffer that all tunnels of an event loop read into."""
    return bytearray(_PIECE)


class Tunnel(asyncio.BufferedProtocol):
    """The connection of one client to the HTTP server. Each side is read only as fast as the other side receives."""

    def __init__(
        self,
        client: asyncio.Transport,
        *,
        send: Callable[[bytes], None],
        end: Callable[[], None],
        read_on: Callable[[], None],
        first_bytes: bytes,
        buffer: bytearray,
    ) -> None:
        self._client = client
        self._send = send
        self._end = end
        self._read_on = read_on
        self._first_bytes = first_bytes
        self._buffer = buffer
        self._server: asyncio.Transport | None = None
        self._is_full = False
        self._connecting: asyncio.Task[None] | None = None

    @classmethod
    def open(
        cls,
        client: asyncio.Transport,
        *,
        send: Callable[[bytes], None],
        end: Callable[[], None],
        read_on: Callable[[], None],
        way: Way,
        name: Callable[[socket.socket], None],
        first_bytes: bytes,
    ) -> Tunnel:
        """Begin to connect a client to the HTTP server, and return the tunnel. Nothing is read until it is connected.

        `send`: sends to the client. `end`: closes the client's connection when all of that is sent. `read_on`: reads
        from the client again. `name`: gives this side's socket the client's name. `first_bytes`: what the client has
        sent and the fast path has not answered.
        """
        tunnel = cls(client, send=send, end=end, read_on=read_on, first_bytes=first_bytes, buffer=way.read_buffer)
        client.pause_reading()
        tunnel._connecting = asyncio.create_task(tunnel._connect(way, name))
        return tunnel

    async def _connect(self, way: Way, name: Callable[[socket.socket], None]) -> None:
        unix_socket: socket.socket | None = None
        try:
            unix_socket = socket.socket(socket.AF_UNIX)  # fails if the process may open no more files
            _check_files(unix_socket, way.files)
            unix_socket.setblocking(False)
            name(unix_socket)
            unix_socket.connect(way.behind)  # a Unix socket connects at once, or fails because the queue is full
            await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=unix_socket)
        except OSError as error:
            _log.error("the server behind takes no connection", extra={"reason": str(error)})
            if unix_socket is not None:
                unix_socket.close()
            self._client.abort()  # nothing else would ever close it: it is not read, and no sweep ends it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._server = cast("asyncio.Transport", transport)
        if self._client.is_closing():
            self._server.abort()
            return
        self._server.write(self._first_bytes)
        self._first_bytes = b""
        self._read_on()

    @property
    def takes_more(self) -> bool:
        """Whether the HTTP server is connected, and receives as fast as the client sends."""
        return self._server is not None and not self._is_full

    def forward(self, data: bytes) -> None:
        """Send to the HTTP server what the client has sent."""
        if self._server is not None and not self._server.is_closing():
            self._server.write(data)

    def forward_eof(self) -> None:
        """Tell the HTTP server that the client sends nothing more."""
        if self._server is not None and not self._server.is_closing():
            self._server.write_eof()

    def get_buffer(self, sizehint: int) -> bytearray:
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if not self._client.is_closing():
            self._send(bytes(memoryview(self._buffer)[:nbytes]))

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._send_last_words()
        self._end()

    def _send_last_words(self) -> None:
        """Send what the HTTP server said before it closed.

        It may answer a request before the whole of it has come, and close. What is then still written to it fails, and
        the event loop reads no more. The kernel has the answer.
        """
        if self._server is None or self._client.is_closing():
            return
        with contextlib.suppress(OSError):  # it has said nothing
            rest = os.read(self._server.get_extra_info("socket").fileno(), _LAST_WORDS)
            if rest:
                self._send(rest)

    def pause_writing(self) -> None:
        self._is_full = True
        pause(self._client)

    def resume_writing(self) -> None:
        self._is_full = False
        self._read_on()

    def pause(self) -> None:
        """Stop reading from the HTTP server: the client receives too slowly."""
        if self._server is not None:
            pause(self._server)

    def resume(self) -> None:
        """Read from the HTTP server again: the client receives again."""
        if self._server is not None:
            resume(self._server)

    def abort(self) -> None:
        """Close the connection to the HTTP server at once, without sending the rest."""
        if self._server is not None:
            self._server.abort()

    def close(self) -> None:
        """Close the connection to the HTTP server: the client has closed its own."""
        if self._server is not None:
            self._server.close()


def _check_files(newest: socket.socket, files: int) -> None:
    """Raise OSError if the process can open hardly any further file: the newest has the lowest number that was free."""
    if newest.fileno() >= files - _FILES_LEFT:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def inner_socket() -> tuple[socket.socket, str]:
    """Make a listening socket for the HTTP server. Return it and its address.

    The address is in Linux's abstract namespace (unix(7)), so no file has to be made and removed.
    """
    address = f"\0trust-server-{secrets.token_hex(16)}"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen(BACKLOG)
    listening.setblocking(False)
    return listening, address
