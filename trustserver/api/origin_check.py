"""Refuse what a web page in a browser asks for, other than to read trust data.

The page may be from any site, or use a name that points to this server's address, and the browser may be on the
server's own network. No web page needs this API. A browser sends `Origin` with every request that could change
something (Fetch standard, section 3.2), and `Sec-Fetch-Site` with nearly every other one (Fetch Metadata, W3C).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from trustserver.api.gun_path import App, Receive, Scope, Send, raw_path
from trustserver.api.problems import send_problem
from trustserver.errors import OriginRefused

READING: Final = frozenset({"GET", "HEAD"})
"""The methods that change nothing (RFC 9110, 9.2.1)."""
_KEYS: Final = (".key", "/keys/snapshot", "/keys/timestamp")
"""How the paths of the server's keys end, in both formats. Reading one may make a key."""
_TYPED: Final = b"none"
"""The value of Sec-Fetch-Site for what a person typed. A page of the same origin has a name that points here."""


class OriginCheck:
    """An ASGI application in front of another. It refuses what web pages want changed, and keys to them."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (scope["method"] not in READING or unquote(raw_path(scope)).endswith(_KEYS)):
            for name, value in scope["headers"]:
                lower = name.lower()
                if lower == b"origin" or (lower == b"sec-fetch-site" and value.strip().lower() != _TYPED):
                    await send_problem(
                        send, OriginRefused(origin=value.decode("latin-1")), head=scope["method"] == "HEAD"
                    )
                    return
        await self._app(scope, receive, send)
