"""Bodies that are sent in pieces: for whoever reads slowly a piece of the file is held, and not all of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from typing import Any, Final

from trustserver.api.gun_path import Send

PIECE: Final = 65_536
"""Bytes; the HTTP server copies what it is given, and keeps it until the client has read it."""
PIECE_SECONDS: Final = 30.0

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
