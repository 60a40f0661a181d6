"""A resident door's server on loopback, for the time of a block, and clients that speak to it in raw bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from trustcli.hooks.serving.limits import Limits
from trustcli.hooks.serving.listening import Listen
from trustcli.hooks.serving.messages import Handler
from trustcli.hooks.serving.server import Server, TlsContext

SECONDS = 120.0
"""After which a test that waits has failed."""


@contextlib.contextmanager
def serving(handler: Handler, *, limits: Limits | None = None, tls: TlsContext | None = None) -> Iterator[Server]:
    """Serve until the end of the block, on a free port."""
    server = Server(listen=Listen(host="127.0.0.1", port=0), handler=handler, limits=limits, tls=tls)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(SECONDS)
        assert not thread.is_alive()


def connected(server: Server) -> socket.socket:
    """A connection to it."""
    return socket.create_connection(server.address, timeout=SECONDS)


def until_closed(sock: socket.socket) -> bytes:
    """All that the server sends until it closes."""
    found = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while data := sock.recv(65536):
            found += data
    return bytes(found)


def exchanged(server: Server, sent: bytes) -> bytes:
    """What comes back for these bytes on a connection of their own, until the server closes it."""
    with connected(server) as sock:
        sock.sendall(sent)
        return until_closed(sock)


@dataclass(frozen=True, kw_only=True)
class RawAnswer:
    """An answer as it came. Names of `headers` in lower case; of a name that stands twice both values, joined."""

    status: int
    headers: dict[str, str]
    body: bytes


def parse_answers(raw: bytes) -> list[RawAnswer]:
    """The answers in what came back, each with a length of its own."""
    found = []
    while raw:
        head, _, raw = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            name = name.lower()
            headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
        length = int(headers.get("content-length", "0"))
        found.append(RawAnswer(status=int(first.split()[1]), headers=headers, body=raw[:length]))
        raw = raw[length:]
    return found
