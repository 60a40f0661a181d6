"""The hot reads: a dictionary lookup and two sends, in front of everything else.

An answer is found under the raw path, byte for byte. Other spellings of it, conditional requests, answers that are due
for renewal, those that are to be compressed first and whatever is not in the view go on to the application behind.
"""

from __future__ import annotations

from collections.abc import Callable

from trustserver.api.gun_path import App, Receive, Scope, Send
from trustserver.api.sending import PIECE, send_body
from trustserver.packing import wants_gzip
from trustserver.view import Answer, View


class FastRead:
    """ASGI. `seconds`: the clock, since 1970."""

    def __init__(self, view: View, otherwise: App, seconds: Callable[[], float]) -> None:
        self._get = view.get
        self._otherwise = otherwise
        self.seconds = seconds
        self.answered = 0
        """Reads answered here; one event loop writes it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET":
            answer = self._get(scope["raw_path"])
            if answer is not None and answer.renew_at > self.seconds():
                for name, _ in scope["headers"]:
                    if name == b"if-none-match":
                        break
                else:
                    if answer.packable and wants_gzip(scope["headers"]):
                        if answer.packed is None:
                            await self._otherwise(scope, receive, send)
                            return
                        answer = answer.packed
                    self.answered += 1
                    await send(answer.start)
                    if answer.size <= PIECE:
                        await send(answer.body)
                    else:
                        await send_body(send, answer.body)
                    return
        await self._otherwise(scope, receive, send)

    def ready(self, path: bytes) -> Answer | None:
        """The answer that may be given now under this raw path."""
        answer = self._get(path)
        return answer if answer is not None and answer.renew_at > self.seconds() else None
