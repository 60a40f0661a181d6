"""Limit time and bytes of a whole exchange, against servers that send without end, slowly or fast.

Socket timeouts bound one read only, and a limit on the body holds only as far as the HTTP library counts aright: a
chunk of size -1 makes http.client read everything. Here every read and write of a connection asks the same budget
first, so that it holds for status line, headers and body alike, whichever HTTP library reads them.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from keys.record import record

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

_FRAMING: Final = 1024 * 1024
"""Bytes of status line, headers and chunk sizes that an answer may have, besides the body and once as much again."""

Clock = Callable[[], float]
"""Monotonic seconds (`time.monotonic`)."""


@record
class Timeouts:
    """Seconds: to connect, for one read or write, for a whole exchange, and for a whole exchange that uploads."""

    connect: float = 10.0
    read: float = 20.0
    overall: float = 60.0
    upload: float = 300.0


class TooManyBytes(Exception):
    """More bytes were received than any honest answer within its limit needs."""


class ExchangeTooLong(TimeoutError):
    """The time of a whole exchange is over; the message says how long it was."""


class ExchangeBudget:
    """The time and the bytes that are left for the current exchange. Not for threads: one exchange at a time."""

    __slots__ = ("_bytes", "_clock", "_end", "_seconds", "_step")

    def __init__(self, clock: Clock, *, step: float) -> None:
        """Begin with the time of one step. `step`: the most seconds that one read or write may take."""
        self._clock = clock
        self._step = step
        self._seconds = step
        self._end = clock() + step
        self._bytes = _FRAMING

    def start(self, seconds: float, *, limit: int) -> None:
        """Begin a new exchange, which may take this long, with at most `limit` bytes of body in its answer."""
        self._seconds = seconds
        self._end = self._clock() + seconds
        self._bytes = 2 * limit + _FRAMING

    def received(self, count: int) -> None:
        """Charge bytes as they came from the network. Raises: TooManyBytes."""
        self._bytes -= count
        if self._bytes < 0:
            raise TooManyBytes

    def next_step(self) -> float:
        """Return the seconds that the next read or write may take. Raises: ExchangeTooLong when nothing is left."""
        left = self._end - self._clock()
        if left <= 0:
            raise ExchangeTooLong(f"no complete answer within {self._seconds:g} seconds")
        return min(left, self._step)

    def reason_for(self, timeout: TimeoutError) -> TimeoutError:
        """Return the reason to give for a timeout: that the time of the whole exchange is over, if it is."""
        try:
            self.next_step()
        except ExchangeTooLong as over:
            return over
        return timeout


class BudgetedSocket:
    """A connected socket (plain or TLS) whose every read and write is charged to a budget."""

    def __init__(self, sock: socket.socket, budget: ExchangeBudget) -> None:
        self._sock = sock
        self._budget = budget

    def sendall(self, data: ReadableBuffer, flags: int = 0) -> None:
        """Send everything, in pieces: a TLS socket's own sendall starts its timeout anew for each record."""
        view = memoryview(data).cast("B")
        while view:
            self._sock.settimeout(self._budget.next_step())
            view = view[self._sock.send(view[:65536], flags) :]

    def makefile(self, mode: str = "r", _buffering: int | None = None) -> io.BufferedReader:
        """Return the file from which http.client reads the answer."""
        if mode not in {"r", "rb"}:
            raise ValueError(mode)
        return io.BufferedReader(_BudgetedRaw(self._sock, self._budget))

    def settimeout(self, _seconds: float | None) -> None:
        """Do nothing: the budget sets the timeout before each read and write."""

    def __getattr__(self, name: str) -> Any:
        # The rest of a socket is unchanged.
        return getattr(self._sock, name)


class _BudgetedRaw(io.RawIOBase):
    def __init__(self, sock: socket.socket, budget: ExchangeBudget) -> None:
        super().__init__()
        self._raw = sock.makefile("rb", buffering=0)
        self._sock = sock
        self._budget = budget

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        self._sock.settimeout(self._budget.next_step())
        count = self._raw.readinto(buffer)
        self._budget.received(count or 0)
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
            super().close()
