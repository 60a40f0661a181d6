"""Make the responses for Notary v1's metadata files.

They have no entity tag and are not compressed, because Notary's clients use neither. Headers and their form:
docs/reference/notary-api.md.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from trustdata.gun import GUN
from trustdata.roles import TIMESTAMP
from trustdata.wire.notary import NOTARY
from trustserver.responses import cache_control
from trustserver.responses.notary_paths import NotaryFile
from trustserver.responses.ready import NOSNIFF, ReadyResponse, plain_response, stored_body, with_renewal
from trustserver.storage.ports import StoredFile

CONTENT_TYPE: Final = b"text/plain; charset=utf-8"
_TIMESTAMP: Final = NotaryFile(role=TIMESTAMP)
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def names_of(file: StoredFile) -> tuple[NotaryFile, ...]:
    """Return the names by which clients ask for the newest version of a file: of a timestamp they know no hash."""
    bare = NotaryFile(role=file.role)
    return (bare,) if file.role == TIMESTAMP else (bare, NotaryFile(role=file.role, sha256=file.sha256))


def answer_under(gun: GUN, name: NotaryFile, file: StoredFile, *, renew_at: datetime | None = None) -> ReadyResponse:
    """Return the response for a file that is asked for by this name.

    With its hash or version in the name caches may keep it for a month. `renew_at`: when the server must sign a
    timestamp again.
    """
    answer = _answer(gun, file, cache_control.NOTARY_CURRENT if name.is_current else cache_control.NOTARY_CONSISTENT)
    return with_renewal(answer, file, NOTARY, renew_at) if name == _TIMESTAMP else answer


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
