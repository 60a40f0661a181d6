"""The way from a client of the front to the server behind, over a socket within this process, byte for byte."""

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
    """Read no more, for now."""
    if not transport.is_closing():
        transport.pause_reading()


def resume(transport: asyncio.Transport) -> None:
    """Read again."""
    if not transport.is_closing():
        transport.resume_reading()


class Tunnel(asyncio.Protocol):
    """The way from one client to the server behind, and back. Each side is read only as fast as the other one takes."""

    def __init__(self, client: asyncio.Transport, send: Callable[[bytes], None], first_bytes: bytes) -> None:
        self._client = client
        self._send = send
        self._first_bytes = first_bytes
        self._behind: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None

    @classmethod
    def open(cls, client: asyncio.Transport, send: Callable[[bytes], None], address: str, first_bytes: bytes) -> Tunnel:
        """`give` sends to the client; `begun`: what he has sent so far, answers given here apart."""
        tunnel = cls(client, send, first_bytes)
        client.pause_reading()
        tunnel._connecting = asyncio.create_task(tunnel._connect(address))
        return tunnel

    async def _connect(self, address: str) -> None:
        end: socket.socket | None = None
        try:
            end = socket.socket(socket.AF_UNIX)  # fails where no more files may be open
            end.setblocking(False)
            end.connect(address)  # within this process: at once or, with its queue full, not at all
            await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=end)
        except OSError as error:
            _log.error("the server behind takes no connection", extra={"reason": str(error)})
            if end is not None:
                end.close()
            self._client.abort()  # left alone it would stay for ever: nobody reads from it or sweeps it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._behind = cast("asyncio.Transport", transport)
        if self._client.is_closing():
            self._behind.abort()
            return
        self._behind.write(self._first_bytes)
        self._first_bytes = b""
        self._client.resume_reading()

    def forward(self, data: bytes) -> None:
        """The client says more."""
        if self._behind is not None and not self._behind.is_closing():
            self._behind.write(data)

    def forward_eof(self) -> None:
        """The client has said all."""
        if self._behind is not None and not self._behind.is_closing():
            self._behind.write_eof()

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
        """The client does not take what comes."""
        if self._behind is not None:
            pause(self._behind)

    def resume(self) -> None:
        """The client takes what comes."""
        if self._behind is not None:
            resume(self._behind)

    def abort(self) -> None:
        """Both sides are to end at once."""
        if self._behind is not None:
            self._behind.abort()

    def close(self) -> None:
        """The client is gone."""
        if self._behind is not None:
            self._behind.close()


def inner_socket() -> tuple[socket.socket, str]:
    """A listening socket for the server behind, and its address: in Linux's abstract namespace, so without a file."""
    address = f"\0trust-server-{secrets.token_hex(16)}"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen(BACKLOG)
    listening.setblocking(False)
    return listening, address
