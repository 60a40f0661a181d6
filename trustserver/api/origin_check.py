"""Browsers change nothing here: pages of other sites, or names that point to this address, could act for the reader.

Nothing in a browser uses this API, and whatever in a browser changes something sends `Origin` (Fetch, 3.2).
"""

from __future__ import annotations

from typing import Final

from trustserver.api.gun_path import App, Receive, Scope, Send
from trustserver.api.problems import send_problem
from trustserver.errors import OriginRefused

READING: Final = frozenset({"GET", "HEAD"})
"""Methods that change nothing (RFC 9110, 9.2.1)."""


class OriginCheck:
    """ASGI: refuses every request with an `Origin` header, unless it only reads."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in READING:
            for name, value in scope["headers"]:
                if name.lower() == b"origin":
                    await send_problem(send, OriginRefused(origin=value.decode("latin-1")))
                    return
        await self._app(scope, receive, send)
