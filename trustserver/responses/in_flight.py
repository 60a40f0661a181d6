"""Bound the memory of large bodies that are being sent: each counts once, however many clients read it.

When there is too much, the body that was asked for longest ago goes. Its readers get the rest in pieces from the store,
so that each holds one piece. Readers that need the body itself, since what they get is not stored or they are sent all
of it at once, may have half of the memory together; beyond that they get the stored form, in pieces if need be.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from trustserver.errors import NotThere
from trustserver.responses.ready import PIECES_FROM, ReadyResponse, StoredBody

MAX_BYTES: Final = 64 * 1024 * 1024
"""Bytes of all bodies that are being sent. One that is larger is sent alone."""
STORED_PIECE: Final = 131_072
"""Bytes of a piece from the store: what a reader whose body has gone holds."""

ReadPiece: TypeAlias = Callable[[StoredBody, int, int], Awaitable[bytes]]
"""Reads a piece of a stored body, by its start and length. Raises: TrustError."""


class _Body:
    """A body that is being sent, and its readers. `bound_readers`: how many of them cannot read it from the store."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.bound_readers = 0
        self.readers: set[Reading] = set()


class Reading:
    """A client that reads a body of `size` bytes.

    `must_stop`: there is no memory for the body any more, and the client cannot get the rest. `stored`: where the body
    can be read when it has gone; None: nowhere.
    """

    def __init__(
        self, bodies: BodiesInFlight, body: bytes, answer: ReadyResponse | None, end: Callable[[], None]
    ) -> None:
        self.must_stop = False
        self.end = end
        self.stored = None if answer is None or not bodies.has_store else answer.stored
        self._answer = answer  # whoever asks for it meanwhile gets the same (api/shared_reads.py)
        self.size = len(body)
        self._body: bytes | None = body
        self._start = 0
        self._piece = b""
        self._bodies = bodies
        self._key = id(body)  # of a body that is kept as long as it counts, so no other can get the same

    async def read(self, start: int, length: int) -> bytes:
        """Return bytes of the body: from the store, if the body has gone.

        At a multiple of `length`, which divides STORED_PIECE. Raises: TrustError if they are not there any more.
        """
        if self._body is not None:
            return self._body[start : start + length]
        if self.stored is None:
            raise NotThere(what="body of this answer")
        if not self._start <= start < self._start + len(self._piece):
            self._piece = b""  # so that there is one at a time
            self._piece = await self._bodies.stored_piece(self.stored, start)
            self._start = start
        return self._piece[start - self._start :][:length]

    def move(self) -> None:
        """Let go of the body: it is read from the store from now on, or no more."""
        self._body = self._answer = None
        if self.stored is None:
            self.must_stop = True
            self.end()

    def release(self) -> None:
        """Note that the client reads no more; doing so twice is allowed."""
        self._body = self._answer = None
        self._piece = b""
        self._bodies.release(self._key, self)


class BodiesInFlight:
    """Counts the bodies that are being sent, on one event loop. `limit`: bytes; `size`: how many there are now.

    `read_piece`: reads from the store; None: there is none, and nobody is sent a body that has gone.
    """

    def __init__(self, read_piece: ReadPiece | None = None, *, limit: int = MAX_BYTES) -> None:
        self.size = 0
        self.ended = 0
        """How many clients had to stop."""
        self.moved = 0
        """How many clients were sent the rest from the store."""
        self._read_piece = read_piece
        self._limit = limit
        self._bound_bytes = 0
        self._bodies: OrderedDict[int, _Body] = OrderedDict()

    def may_hold(self, body: bytes) -> bool:
        """Return whether a client may get a body that cannot be read from the store while it is sent."""
        found = self._bodies.get(id(body))
        return (found is not None and found.bound_readers > 0) or self._bound_bytes + len(body) <= self._limit // 2

    def form_for(self, chosen: ReadyResponse, answer: ReadyResponse) -> ReadyResponse:
        """Return the form of an answer that a client gets: the plain one if there is no memory for the `chosen` one."""
        if chosen is answer or chosen.size < PIECES_FROM or self.may_hold(chosen.body["body"]):
            return chosen
        return answer

    @property
    def has_store(self) -> bool:
        """Whether bodies that have gone can be read from a store."""
        return self._read_piece is not None

    def read(self, body: bytes, end: Callable[[], None], *, answer: ReadyResponse | None = None) -> Reading:
        """Count a client that begins to read. `end`: called, at most once, if it has to stop.

        `answer`: the response with this body, kept as long as the body is. It says where the body is stored, so that
        the client need not stop. None: the client has all of the body already.
        """
        reading = Reading(self, body, answer, end)
        key = id(body)
        found = self._bodies.get(key)
        if found is None:
            found = self._bodies[key] = _Body(body)
            self.size += len(body)
        found.readers.add(reading)
        self._count_bound(found, reading, 1)
        self._bodies.move_to_end(key)
        while self.size > self._limit and len(self._bodies) > 1:
            self._let_go()
        return reading

    async def stored_piece(self, stored: StoredBody, start: int) -> bytes:
        """Return STORED_PIECE bytes of a stored body, or what there is until its end. Raises: TrustError."""
        if self._read_piece is None:
            raise NotThere(what="store to read pieces from")
        return await self._read_piece(stored, start, STORED_PIECE)

    def release(self, key: int, reading: Reading) -> None:
        """Forget a client, and the body if no other reads it."""
        found = self._bodies.get(key)
        if found is None or reading not in found.readers:
            return
        found.readers.discard(reading)
        self._count_bound(found, reading, -1)
        if not found.readers:
            self.size -= len(found.body)
            del self._bodies[key]

    def _let_go(self) -> None:
        """Let go of the body that was asked for longest ago: one whose readers can all go on, if there is one."""
        key = next((key for key, body in self._bodies.items() if not body.bound_readers), next(iter(self._bodies)))
        oldest = self._bodies.pop(key)
        self.size -= len(oldest.body)
        for each in list(oldest.readers):
            self._count_bound(oldest, each, -1)
            self.ended += each.stored is None
            self.moved += each.stored is not None
            each.move()

    def _count_bound(self, body: _Body, reading: Reading, change: int) -> None:
        """Count a reader that comes (1) or goes (-1), if it cannot read from the store."""
        if reading.stored is None:
            self._bound_bytes -= len(body.body) if body.bound_readers else 0
            body.bound_readers += change
            self._bound_bytes += len(body.body) if body.bound_readers else 0
