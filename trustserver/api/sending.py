"""Send responses: large bodies in pieces, what not everybody may read as private, and no type left to be guessed.

With pieces, a client that receives slowly makes the server hold one piece in memory and not the whole file.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from typing import Any, Final

from trustdata.errors import TrustError
from trustserver.api.gun_path import App, Receive, Scope, Send
from trustserver.responses.in_flight import BodiesInFlight, Reading
from trustserver.responses.ready import NOSNIFF, ReadyResponse

PIECE: Final = 32_768
"""Bytes of one piece. The HTTP server copies it and keeps it until the client has received it."""
PIECE_SECONDS: Final = 30.0
"""How long a client may take to receive one piece."""

_BODY: Final = "http.response.body"
_PUBLIC: Final = b"public"

_log = logging.getLogger(__name__)


async def send_body(send: Send, answer: ReadyResponse, bodies: BodiesInFlight) -> None:
    """Send the body of a response, in pieces if it is large. The caller must not keep the response meanwhile.

    The rest is not sent if the client does not receive a piece in time, or if there is no memory for the body any more
    and it cannot be read from the store. The client notices that, since Content-Length was sent before.
    """
    event = answer.body
    if len(event["body"]) <= PIECE:
        await send(event)
        return
    loop = asyncio.get_running_loop()
    reading: Reading | None = None
    try:
        async with asyncio.timeout(None) as deadline:
            reading = bodies.read(event["body"], lambda: deadline.reschedule(loop.time()), answer=answer)
            del answer, event  # from now on only the reading has them
            for start in range(0, reading.size, PIECE):
                if reading.must_stop:
                    break
                piece = await reading.read(start, PIECE)
                deadline.reschedule(loop.time() + PIECE_SECONDS)
                await send({"type": _BODY, "body": piece, "more_body": start + PIECE < reading.size})
                deadline.reschedule(None)
    except TimeoutError:
        if reading is None or not reading.must_stop:
            _log.info("a client took too little of an answer", extra={"seconds": PIECE_SECONDS})
        else:
            _log.info("an answer ends before its end", extra={"reason": "there is no memory for it"})
    except TrustError as error:
        _log.info("an answer ends before its end", extra={"code": error.code, "reason": str(error)})
    finally:
        if reading is not None:
            reading.release()


def for_one_reader(send: Send) -> Send:
    """Return a `send` that replaces `Cache-Control: public` by `private`.

    A shared cache would give a public response to users who may not read it (RFC 9111, 3.5).
    """

    async def sent(event: MutableMapping[str, Any]) -> None:
        if event["type"] == "http.response.start":
            event = {**event, "headers": [_private(name, value) for name, value in event["headers"]]}
        await send(event)

    return sent


def with_nosniff(app: App) -> App:
    """Return an ASGI application that adds X-Content-Type-Options to the responses of another that lack it."""

    async def called(scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(event: MutableMapping[str, Any]) -> None:
            if event["type"] == "http.response.start" and all(name != NOSNIFF[0] for name, _ in event["headers"]):
                event = {**event, "headers": [*event["headers"], NOSNIFF]}
            await send(event)

        await app(scope, receive, sent)

    return called


def _private(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    return (name, b"private" + value.removeprefix(_PUBLIC)) if _is_public(name, value) else (name, value)


def _is_public(name: bytes, value: bytes) -> bool:
    return name.lower() == b"cache-control" and value.startswith(_PUBLIC)
