"""Read from and write to one client, so that no client holds a thread longer than the limits allow."""

from __future__ import annotations

import select
import socket
import ssl
import time
from typing import Final

from trustcli.hooks.serving.limits import Limits

PIECE: Final = 64 * 1024
"""Bytes of one read."""
_WRITE: Final = 256 * 1024


class ConnectedPeer:
    """A client's socket with deadlines: the `Peer` that relays write to. Each method raises OSError."""

    def __init__(self, sock: socket.socket, limits: Limits) -> None:
        self.socket = sock
        self._limits = limits
        self.waits = False
        """Whether it is the client's turn: nothing goes on before it sends something."""
        self._started, self._taken = time.monotonic(), 0

    def receive(self, deadline: float) -> bytes:
        """Return what is there, at most 64 KiB; empty at the end. `deadline`: monotonic seconds."""
        self.socket.settimeout(_left(deadline))
        self.waits = True
        try:
            return self.socket.recv(PIECE)
        finally:
            self.waits = False

    def begin_answer(self) -> None:
        """Begin to measure how fast the client takes an answer."""
        self._started, self._taken = time.monotonic(), 0

    def send(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        while view:
            self.socket.settimeout(self._limits.stall)
            count = self.socket.send(view[:_WRITE])
            view = view[count:]
            self.sent(count)

    def plain_socket(self) -> int | None:
        if isinstance(self.socket, ssl.SSLSocket):
            return None
        self.socket.settimeout(0)  # whoever writes to it waits with `wait_writable`
        return self.socket.fileno()

    def wait_writable(self) -> None:
        poll = select.poll()
        poll.register(self.socket.fileno(), select.POLLOUT)
        if not poll.poll(self._limits.stall * 1000):
            raise TimeoutError

    def sent(self, count: int) -> None:
        self._taken += count
        late = time.monotonic() - self._started - self._limits.stall
        if late * self._limits.slowest > self._taken:
            raise TimeoutError

    def close(self) -> None:
        """Close for good."""
        self.socket.close()

    def close_gently(self) -> None:
        """Close so that the client can read what was sent, although it may still be sending (RFC 9112, 9.6).

        What it sends is thrown away, for a second at most.
        """
        deadline = time.monotonic() + 1
        try:
            self.socket.shutdown(socket.SHUT_WR)
            while self.receive(deadline):
                pass
        except (OSError, ValueError):
            pass
        finally:
            self.socket.close()


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
