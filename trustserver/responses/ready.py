"""Hold a response ready to be sent: its head as bytes, its body, and until when a timestamp may be sent."""

from __future__ import annotations

import sys
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

from trustdata.gun import GUN
from trustdata.lifetimes import CLOCK_SKEW
from trustdata.roles import TIMESTAMP, RoleName
from trustdata.wire import WireFormat
from trustserver.storage.ports import NEVER_RENEWED, StoredFile

NEVER: Final = sys.maxsize
NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
"""A header of every response: no browser guesses a type other than the one that is said (Fetch standard, nosniff)."""
PIECES_FROM: Final = 65_536
"""Bytes of a body from which on it can be read from the store in pieces while it is sent."""
_OVERHEAD: Final = 1024  # of an entry beside its body: path, headers, dictionaries
_NO_BODY: Final[MutableMapping[str, Any]] = {"type": "http.response.body", "body": b""}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBody:
    """The file whose bytes are a response's body: there they can be read in pieces. `size`: in bytes."""

    gun: GUN
    role: RoleName
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class ReadyResponse:
    """A response, ready to send as ASGI events; it is shared, so no reader may change it.

    `head`: status line and headers as bytes, for a server that writes bytes; the date and the empty line are missing.
    `renew_before`, `renew_at`: seconds since 1970 between which the response may be sent without a renewal; for most,
    at any time. An earlier time means that the file was signed while the clock was ahead.
    `unchanged`: the 304 for a client that has the file already; None without entity tag.
    `packable`: there is a compressed form in `packed`, or one can be made (gzip.py).
    `stored`: where the body is stored; None for small ones, and for those that are not stored as they are.
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
    stored: StoredBody | None = None
    renew_before: int = 0
    renew_at: int = NEVER


def stored_body(gun: GUN, file: StoredFile) -> StoredBody | None:
    """Return where the body of a file's response is stored; None if it is so small that nobody asks."""
    if len(file.raw) < PIECES_FROM:
        return None
    return StoredBody(gun=gun, role=file.role, sha256=file.sha256, size=len(file.raw))


def unchanged_response(etag: bytes, headers: list[tuple[bytes, bytes]]) -> ReadyResponse:
    """Make a 304: the client has the file with this tag already."""
    return response(304, headers, b"", etag=etag)


def plain_response(
    status: int, headers: list[tuple[bytes, bytes]], raw: bytes, *, stored: StoredBody | None = None
) -> ReadyResponse:
    """Make a response without entity tag and without a compressed form."""
    return response(status, headers, raw, stored=stored)


def response(
    status: int,
    headers: list[tuple[bytes, bytes]],
    raw: bytes,
    *,
    etag: bytes = b"",
    unchanged: ReadyResponse | None = None,
    packable: bool = False,
    stored: StoredBody | None = None,
) -> ReadyResponse:
    """Make a response of status, headers and body; what else there is to say of it as in `ReadyResponse`."""
    # All at once: each `replace` costs as much as the rest of a response.
    return ReadyResponse(
        status=status,
        start={"type": "http.response.start", "status": status, "headers": headers},
        body={"type": "http.response.body", "body": raw} if raw else _NO_BODY,
        head=response_head(status, headers),
        size=len(raw) + _OVERHEAD,
        etag=etag,
        unchanged=unchanged,
        packable=packable,
        stored=stored,
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
    lines = [b"%b: %b\r\n" % header for header in headers]
    return b"".join((_status_line(status), *lines))


@lru_cache(maxsize=len(HTTPStatus))
def _status_line(status: int) -> bytes:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
