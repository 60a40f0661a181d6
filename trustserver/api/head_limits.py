"""Refuse requests whose path or headers are longer than any client's, before anything is made of them.

What is made of them (names, tokens, lists of entity tags) takes time on the event loop that grows with their length.
"""

from __future__ import annotations

from typing import Final

from trustserver.api.gun_path import App, Receive, Scope, Send
from trustserver.api.problems import send_problem
from trustserver.errors import HeadTooLarge

MAX_HEAD: Final = 65_536  # bytes
MAX_TARGET: Final = 8_192
"""The most bytes of path and query: names have 255 each, and may be percent-encoded."""
MAX_HEADER: Final = 8_192
MAX_AUTHORIZATION: Final = 49_152
"""A token has up to 32 KiB."""


class HeadLimits:
    """An ASGI application in front of another."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = excess(scope) if scope["type"] == "http" else None
        if error is None:
            await self._app(scope, receive, send)
        else:
            await send_problem(send, error, head=scope["method"] == "HEAD")


def excess(scope: Scope) -> HeadTooLarge | None:
    """Return what is too long about the head of a request; None if nothing is."""
    size = len(scope.get("raw_path") or scope["path"]) + len(scope.get("query_string", b""))
    if size > MAX_TARGET:
        return HeadTooLarge(place="path and query", limit=MAX_TARGET)
    for name, value in scope["headers"]:
        limit = MAX_AUTHORIZATION if name == b"authorization" else MAX_HEADER
        if len(name) + len(value) > limit:
            return HeadTooLarge(place=f"header {name[:64].decode('latin-1')}", limit=limit)
        size += len(name) + len(value)
    return HeadTooLarge(place="the head", limit=MAX_HEAD) if size > MAX_HEAD else None
