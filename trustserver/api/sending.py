"""How answers are sent: large bodies in pieces, so that for a slow reader one piece is held, and not all of the file;
what not everybody may read, past caches that are shared.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from typing import Any, Final

from trustserver.api.gun_path import Send

PIECE: Final = 65_536
"""Bytes; the HTTP server copies what it is given, and keeps it until the client has read it."""
PIECE_SECONDS: Final = 30.0

_PUBLIC: Final = b"public"

_log = logging.getLogger(__name__)


async def send_body(send: Send, event: MutableMapping[str, Any]) -> None:
    """Send the body of an `http.response.body` event; in pieces, each of which must be taken in time, if it is large.

    A body that is not taken stays incomplete, which the client sees: its length was announced.
    """
    body = memoryview(event["body"])
    if len(body) <= PIECE:
        await send(event)
        return
    try:
        for start in range(0, len(body), PIECE):
            piece = {**event, "body": bytes(body[start : start + PIECE]), "more_body": start + PIECE < len(body)}
            async with asyncio.timeout(PIECE_SECONDS):
                await send(piece)
    except TimeoutError:
        _log.info("a client took no answer", extra={"seconds": PIECE_SECONDS})


def for_one_reader(send: Send) -> Send:
    """`send`, with every `Cache-Control: public` made `private`.

    Shared caches would answer others without asking whether they may read (RFC 9111, 3.5).
    """

    async def sent(event: MutableMapping[str, Any]) -> None:
        if event["type"] == "http.response.start":
            event = {**event, "headers": [_private(name, value) for name, value in event["headers"]]}
        await send(event)

    return sent


def _private(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    return (name, b"private" + value.removeprefix(_PUBLIC)) if _is_public(name, value) else (name, value)


def _is_public(name: bytes, value: bytes) -> bool:
    return name.lower() == b"cache-control" and value.startswith(_PUBLIC)
