"""Answer reads from the response cache, in front of everything else: one dictionary lookup and two sends.

A response is found under the raw path, byte for byte. Other spellings of the path, responses that are due for renewal,
those that must be compressed first and all that is not cached go on to the application behind. So does a request that
may not read: the application behind says why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from trustserver.api.gun_path import App, Receive, Scope, Send
from trustserver.api.sending import PIECE, for_one_reader, send_body
from trustserver.auth.authorizer import Authorizer
from trustserver.responses.conditional_get import asked, select
from trustserver.responses.in_flight import BodiesInFlight
from trustserver.responses.ready import ReadyResponse
from trustserver.responses.response_cache import ResponseCache

LONGEST_CONDITION: Final = 1024
"""Longest If-None-Match, in bytes, that is looked at here. Others are refused behind if they are far too long."""


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
    ) -> None:
        self.is_open = authorizer.reads_are_open
        """Whether everybody may read everything. If not, no cache between may keep a response for others either."""
        self._authorizer = authorizer
        self._cache = cache
        self.bodies = bodies
        """The large bodies that are being sent."""
        self._get = cache.get
        self._otherwise = otherwise
        self.seconds = seconds
        self.answered = 0
        """The number of reads answered here; only one event loop writes it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self.is_open:
            send = for_one_reader(send)
        if scope["type"] == "http" and scope["method"] == "GET":
            answer = self._get(scope["raw_path"])
            if (
                answer is not None
                and answer.renew_before <= self.seconds() < answer.renew_at
                and (self.is_open or self._may_read(scope))
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

    def _may_read(self, scope: Scope) -> bool:
        gun = self._cache.gun(scope["raw_path"])
        # None: dropped by another thread since
        return gun is not None and self._authorizer.may_read_now(scope["headers"], gun)
