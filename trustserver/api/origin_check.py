"""Refuse changes that a web page in a browser asks for.

The page may be from any site, or use a name that points to this server's address, and the browser may be on the
server's own network. No web page needs this API. A browser sends `Origin` with every request that could change
something (Fetch standard, section 3.2).
"""

from __future__ import annotations

from typing import Final

from trustserver.api.gun_path import App, Receive, Scope, Send
from trustserver.api.problems import send_problem
from trustserver.errors import OriginRefused

READING: Final = frozenset({"GET", "HEAD"})
"""The methods that change nothing (RFC 9110, 9.2.1)."""


class OriginCheck:
    """An ASGI application in front of another. It refuses requests with an `Origin` header, unless they only read."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in READING:
            for name, value in scope["headers"]:
                if name.lower() == b"origin":
                    await send_problem(send, OriginRefused(origin=value.decode("latin-1")))
                    return
        await self._app(scope, receive, send)
