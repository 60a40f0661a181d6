"""Answer reads from the response cache, in front of everything else: one dictionary lookup and two sends.

A response is found under the raw path, byte for byte. Other spellings of the path, responses that are due for renewal,
those that must be compressed first and all that is not cached go on to the application behind. So does a request that
may not read: the application behind says why.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from trustserver.api.client_address import sender_of
from trustserver.api.gun_path import App, Receive, Scope, Send
from trustserver.api.sending import PIECE, for_one_reader, send_body
from trustserver.auth.authorizer import Authorizer
from trustserver.responses.conditional_get import asked, select
from trustserver.responses.in_flight import BodiesInFlight
from trustserver.responses.ready import ReadyResponse
from trustserver.responses.response_cache import ResponseCache

LONGEST_CONDITION: Final = 1024
"""Longest If-None-Match, in bytes, that is looked at here. Others are refused behind if they are far too long."""


class StoredReads(Protocol):
    """The reads of one format. `answered`: how many were answered, by status."""

    answered: dict[int, int]

    async def read(self, path: bytes) -> ReadyResponse | None:
        """Read the response for a raw path; None if there is none, it must be renewed, or it must be said why not."""


class FastRead:
    """Answers hot reads (ASGI). `seconds`: the clock, in seconds since 1970."""

    def __init__(
        self,
        cache: ResponseCache,
        otherwise: App,
        seconds: Callable[[], float],
        *,
        authorizer: Authorizer,
        bodies: BodiesInFlight,
        stored: Mapping[bytes, StoredReads] | None = None,
        observe: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Take what reads the store for the front: `stored`, by the first segment of a raw path, such as `/tuf/`.

        `observe`: is told how many seconds such a read took.
        """
        self._stored = stored or {}
        self._observe = observe
        self._authorizer = authorizer
        self._cache = cache
        self.bodies = bodies
        """The large bodies that are being sent."""
        self._get = cache.get
        self._otherwise = otherwise
        self.seconds = seconds
        self.answered = 0
        """The number of reads answered here; only one event loop writes it."""

    @property
    def is_open(self) -> bool:
        """Whether everybody may read everything now. If not, no cache between may keep a response for others either."""
        return self._authorizer.reads_are_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_open = self._authorizer.reads_are_open
        if not is_open:
            send = for_one_reader(send)
        if scope["type"] == "http" and scope["method"] == "GET":
            answer = self._get(scope["raw_path"])
            if (
                answer is not None
                and answer.renew_before <= self.seconds() < answer.renew_at
                and (is_open or self._may_read(scope))
            ):
                condition, codings = asked(scope["headers"])
                chosen = select(answer, condition, codings) if len(condition) <= LONGEST_CONDITION else None
                if chosen is not None:
                    chosen = self.bodies.form_for(chosen, answer)
                    self.answered += 1
                    await send(chosen.start)
                    if chosen.size <= PIECE:
                        await send(chosen.body)
                    else:
                        sending = send_body(send, chosen, self.bodies)
                        del answer, chosen  # a body must be able to go while it is sent
                        await sending
                    return
        await self._otherwise(scope, receive, send)

    def ready(self, path: bytes) -> ReadyResponse | None:
        """Return the response that everybody may get now under this raw path; None if there is none."""
        answer = self._get(path) if self.is_open else None
        return answer if answer is not None and answer.renew_before <= self.seconds() < answer.renew_at else None

    def may_be_stored(self, path: bytes) -> bool:
        """Return whether the store may have a response for this raw path that everybody may get."""
        return self.is_open and _first_segment(path) in self._stored

    async def read(self, path: bytes) -> ReadyResponse | None:
        """Read the response for a raw path from the store; None if the application behind has to answer."""
        began = time.perf_counter()
        answer = await self._stored[_first_segment(path)].read(path)
        if answer is not None:
            self._observe(time.perf_counter() - began)
        return answer

    def count(self, path: bytes, status: int) -> None:
        """Count a read of the store that is answered with this status."""
        answered = self._stored[_first_segment(path)].answered
        answered[status] = answered.get(status, 0) + 1

    def _may_read(self, scope: Scope) -> bool:
        gun = self._cache.gun(scope["raw_path"])
        # None: dropped by another thread since
        return gun is not None and self._authorizer.may_read_now(sender_of(scope), gun)


def _first_segment(path: bytes) -> bytes:
    """Return a raw path up to its second slash: `/tuf/`."""
    return path[: path.find(b"/", 1) + 1]
