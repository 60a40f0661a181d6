"""One bound on the time of a whole exchange, against servers that send a byte now and then for ever.

Socket timeouts bound one read only. Here every read and write of a connection asks the same budget first, so that it
holds for status line, headers and body alike, whichever HTTP library reads them.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

Clock = Callable[[], float]
"""Monotonic seconds (`time.monotonic`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds: to connect, for one read or write, for a whole exchange, and for a whole exchange that uploads."""

    connect: float = 10.0
    read: float = 20.0
    overall: float = 60.0
    upload: float = 300.0


class TimeBudget:
    """The time left for the current exchange. Not for threads: one connection, one exchange at a time."""

    __slots__ = ("_clock", "_end", "_seconds", "_step")

    def __init__(self, clock: Clock, *, step: float) -> None:
        """`step`: the most seconds that one read or write may take."""
        self._clock = clock
        self._step = step
        self._seconds = step
        self._end = clock() + step

    def start(self, seconds: float) -> None:
        """A new exchange begins, which may take this long."""
        self._seconds = seconds
        self._end = self._clock() + seconds

    def next_step(self) -> float:
        """The seconds that the next read or write may take. Raises: TimeoutError when nothing is left."""
        left = self._end - self._clock()
        if left <= 0:
            raise TimeoutError(f"no complete answer within {self._seconds:g} seconds")
        return min(left, self._step)


class BudgetedSocket:
    """A connected socket (plain or TLS) of which every read and write is charged to a budget."""

    def __init__(self, sock: socket.socket, budget: TimeBudget) -> None:
        self._sock = sock
        self._budget = budget

    def sendall(self, data: ReadableBuffer, flags: int = 0) -> None:
        """Send everything, in pieces: a TLS socket's own sendall starts its timeout anew for each record."""
        view = memoryview(data).cast("B")
        while view:
            self._sock.settimeout(self._budget.next_step())
            view = view[self._sock.send(view[:65536], flags) :]

    def makefile(self, mode: str = "r", _buffering: int | None = None) -> io.BufferedReader:
        """What http.client reads the answer from."""
        if mode not in {"r", "rb"}:
            raise ValueError(mode)
        return io.BufferedReader(_BudgetedRaw(self._sock, self._budget))

    def settimeout(self, _seconds: float | None) -> None:
        """Ignored: the budget sets the timeout before each read and write."""

    def __getattr__(self, name: str) -> Any:
        # The rest of a socket is unchanged.
        return getattr(self._sock, name)


class _BudgetedRaw(io.RawIOBase):
    def __init__(self, sock: socket.socket, budget: TimeBudget) -> None:
        super().__init__()
        self._raw = sock.makefile("rb", buffering=0)
        self._sock = sock
        self._budget = budget

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        self._sock.settimeout(self._budget.next_step())
        try:
            return self._raw.readinto(buffer)
        except TimeoutError:
            self._budget.next_step()  # if the time of the whole is up, that is the reason to give
            raise

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
            super().close()
