"""The hot reads: a dictionary lookup and two sends, in front of everything else.

An answer is found under the raw path, byte for byte. Other spellings of it, answers that are due for renewal, those
that are to be compressed first and whatever is not in the view go on to the application behind. So does, where not
everybody may read, whoever may not: the application behind says why.
"""

from __future__ import annotations

from collections.abc import Callable

from trustserver.api.gun_path import App, Receive, Scope, Send
from trustserver.api.sending import PIECE, for_one_reader, send_body
from trustserver.auth.authorizer import Action, Authorizer
from trustserver.errors import Forbidden
from trustserver.responses.cache import Answer, View
from trustserver.responses.selection import asked, select


class FastRead:
    """ASGI. `seconds`: the clock, since 1970."""

    def __init__(self, view: View, otherwise: App, seconds: Callable[[], float], *, authorizer: Authorizer) -> None:
        self.is_open = authorizer.reads_are_open
        """Whether everybody may read everything. Where not, no cache may keep an answer for others either."""
        self._authorizer = authorizer
        self._view = view
        self._get = view.get
        self._otherwise = otherwise
        self.seconds = seconds
        self.answered = 0
        """Reads answered here; one event loop writes it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self.is_open:
            send = for_one_reader(send)
        if scope["type"] == "http" and scope["method"] == "GET":
            answer = self._get(scope["raw_path"])
            if answer is not None and answer.renew_at > self.seconds() and (self.is_open or self._may_read(scope)):
                condition, codings = asked(scope["headers"])
                chosen = select(answer, condition, codings)
                if chosen is not None:
                    self.answered += 1
                    await send(chosen.start)
                    if chosen.size <= PIECE:
                        await send(chosen.body)
                    else:
                        await send_body(send, chosen.body)
                    return
        await self._otherwise(scope, receive, send)

    def ready(self, path: bytes) -> Answer | None:
        """The answer that may be given now, to everybody, under this raw path."""
        answer = self._get(path) if self.is_open else None
        return answer if answer is not None and answer.renew_at > self.seconds() else None

    def _may_read(self, scope: Scope) -> bool:
        gun = self._view.gun(scope["raw_path"])
        if gun is None:  # dropped by another thread since
            return False
        try:
            self._authorizer.authorize(scope["headers"], Action.READ, gun)
        except Forbidden:
            return False
        return True
