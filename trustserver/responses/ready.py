"""Hold a response ready to be sent: its head as bytes, its body, and until when a timestamp may be sent."""

from __future__ import annotations

import sys
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from trustdata.lifetimes import CLOCK_SKEW
from trustdata.roles import TIMESTAMP
from trustdata.wire import WireFormat
from trustserver.storage.ports import NEVER_RENEWED, StoredFile

NEVER: Final = sys.maxsize
_OVERHEAD: Final = 1024  # of an entry beside its body: path, headers, dictionaries
_NO_BODY: Final[MutableMapping[str, Any]] = {"type": "http.response.body", "body": b""}


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class ReadyResponse:
    """A response, ready to send as ASGI events; it is shared, so no reader may change it.

    `head`: status line and headers as bytes, for a server that writes bytes; the date and the empty line are missing.
    `renew_before`, `renew_at`: seconds since 1970 between which the response may be sent without a renewal; for most,
    at any time. An earlier time means that the file was signed while the clock was ahead.
    `unchanged`: the 304 for a client that has the file already; None without entity tag.
    `packable`: there is a compressed form in `packed`, or one can be made (gzip.py).
    """

    status: int
    start: MutableMapping[str, Any]
    body: MutableMapping[str, Any]
    head: bytes
    size: int
    etag: bytes = b""
    unchanged: ReadyResponse | None = None
    packable: bool = False
    packed: ReadyResponse | None = None
    renew_before: int = 0
    renew_at: int = NEVER


def unchanged_response(etag: bytes, headers: list[tuple[bytes, bytes]]) -> ReadyResponse:
    """Make a 304: the client has the file with this tag already."""
    return replace(plain_response(304, headers, b""), etag=etag, body=_NO_BODY)


def plain_response(status: int, headers: list[tuple[bytes, bytes]], raw: bytes) -> ReadyResponse:
    """Make a response without entity tag and without a compressed form."""
    return ReadyResponse(
        status=status,
        start={"type": "http.response.start", "status": status, "headers": headers},
        body={"type": "http.response.body", "body": raw},
        head=response_head(status, headers),
        size=len(raw) + _OVERHEAD,
    )


def with_renewal(
    answer: ReadyResponse, timestamp: StoredFile, wire: WireFormat, renew_at: datetime | None
) -> ReadyResponse:
    """Return the response of a timestamp that the server must sign again at `renew_at`; None or NEVER_RENEWED: never.

    It must be signed again, too, as long as its lifetime has not begun.
    """
    if renew_at is None or renew_at == NEVER_RENEWED:
        return answer
    signed_at = timestamp.expires - wire.lifetimes.of(TIMESTAMP)
    return replace(answer, renew_before=int((signed_at - CLOCK_SKEW).timestamp()), renew_at=int(renew_at.timestamp()))


def response_head(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return status line and headers as bytes; the date and the empty line are still missing."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode(), *(b"%b: %b" % header for header in headers)]
    return b"".join(line + b"\r\n" for line in lines)
