"""Make the responses for Notary v1's metadata files.

They have no entity tag and are not compressed, because Notary's clients use neither. Headers and their form:
docs/reference/notary-api.md.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from trustdata.gun import GUN
from trustserver.responses import cache_control
from trustserver.responses.ready import NOSNIFF, ReadyResponse, plain_response, stored_body
from trustserver.storage.ports import StoredFile

CONTENT_TYPE: Final = b"text/plain; charset=utf-8"
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def current(gun: GUN, file: StoredFile) -> ReadyResponse:
    """Return the response for the newest version of a file."""
    return _answer(gun, file, cache_control.NOTARY_CURRENT)


def consistent(gun: GUN, file: StoredFile) -> ReadyResponse:
    """Return the response for a file with its hash or version in the name. Caches may keep it for a month."""
    return _answer(gun, file, cache_control.NOTARY_CONSISTENT)


def last_modified(at: datetime) -> bytes:
    """Format a time as in RFC 1123, but with the zone UTC instead of GMT, because Notary writes it so."""
    at = at.astimezone(UTC)
    return f"{_DAYS[at.weekday()]}, {at:%d} {_MONTHS[at.month - 1]} {at:%Y %H:%M:%S} UTC".encode()


def _answer(gun: GUN, file: StoredFile, cache: bytes) -> ReadyResponse:
    headers = [
        (b"content-type", CONTENT_TYPE),
        (b"content-length", str(len(file.raw)).encode()),
        NOSNIFF,
        (b"cache-control", cache),
    ]
    if file.stored_at is not None:
        headers.append((b"last-modified", last_modified(file.stored_at)))
    return plain_response(200, headers, file.raw, stored=stored_body(gun, file))
