"""Forward a connection of the fast path to the HTTP server behind it, over a socket within this process.

All bytes are forwarded unchanged, in both directions. Why there are two servers: ADR 0017.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable
from typing import Final, cast

BACKLOG: Final = 1024

_log = logging.getLogger(__name__)


def pause(transport: asyncio.Transport) -> None:
    """Stop reading from a connection, unless it is closing."""
    if not transport.is_closing():
        transport.pause_reading()


def resume(transport: asyncio.Transport) -> None:
    """Read from a connection again, unless it is closing."""
    if not transport.is_closing():
        transport.resume_reading()


class Tunnel(asyncio.Protocol):
    """The connection of one client to the HTTP server. Each side is read only as fast as the other side receives."""

    def __init__(self, client: asyncio.Transport, send: Callable[[bytes], None], first_bytes: bytes) -> None:
        self._client = client
        self._send = send
        self._first_bytes = first_bytes
        self._server: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None

    @classmethod
    def open(cls, client: asyncio.Transport, send: Callable[[bytes], None], address: str, first_bytes: bytes) -> Tunnel:
        """Begin to connect a client to the HTTP server, and return the tunnel. Nothing is read until it is connected.

        `send`: sends to the client. `address`: of the HTTP server's socket. `first_bytes`: what the client has sent and
        the fast path has not answered.
        """
        tunnel = cls(client, send, first_bytes)
        client.pause_reading()
        tunnel._connecting = asyncio.create_task(tunnel._connect(address))
        return tunnel

    async def _connect(self, address: str) -> None:
        unix_socket: socket.socket | None = None
        try:
            unix_socket = socket.socket(socket.AF_UNIX)  # fails if the process may open no more files
            unix_socket.setblocking(False)
            unix_socket.connect(address)  # a Unix socket connects at once, or fails because the queue is full
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
        self._client.resume_reading()

    def forward(self, data: bytes) -> None:
        """Send to the HTTP server what the client has sent."""
        if self._server is not None and not self._server.is_closing():
            self._server.write(data)

    def forward_eof(self) -> None:
        """Tell the HTTP server that the client sends nothing more."""
        if self._server is not None and not self._server.is_closing():
            self._server.write_eof()

    def data_received(self, data: bytes) -> None:
        if not self._client.is_closing():
            self._send(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._client.close()

    def pause_writing(self) -> None:
        pause(self._client)

    def resume_writing(self) -> None:
        resume(self._client)

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
