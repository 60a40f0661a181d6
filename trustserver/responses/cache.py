"""Keep ready responses by URL path in memory; when their bytes exceed the limit, drop the least recently read.

A response is made when something is published or first read, so that a read is one dictionary lookup.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from http import HTTPStatus
from threading import Lock
from typing import Any, Final

from trustdata.gun import GUN
from trustdata.lifetimes import CLOCK_SKEW
from trustdata.roles import TIMESTAMP, RoleName
from trustdata.wire import WireFormat
from trustserver.storage.ports import NEVER_RENEWED, StoredFile

NEVER: Final = sys.maxsize
VIEW_BYTES: Final = 64 * 1024 * 1024
_STRIPES: Final = 1024
_OVERHEAD: Final = 1024  # of an entry beside its body: path, headers, dictionaries

PIECES_FROM: Final = 65_536
"""Bytes of a body from which on it can be read from the store in pieces while it is sent."""
PACK_FROM: Final = 1024
"""Bytes of a file from which on a compressed form is worth while: below, either fits into one packet."""

CACHE_IMMUTABLE: Final = b"public, max-age=31536000, immutable"
CACHE_REVALIDATE: Final = b"no-cache"
CACHE_NOTHING: Final = b"no-store"
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


def file_response(raw: bytes, sha256: str, *, cache: bytes, stored: StoredBody | None = None) -> ReadyResponse:
    """Make the response for a metadata file, with its hash as entity tag."""
    etag = b'"' + sha256.encode() + b'"'
    packable = cache == CACHE_IMMUTABLE and len(raw) >= PACK_FROM
    kept = [(b"etag", etag), (b"cache-control", cache)]
    if packable:
        kept.append((b"vary", b"accept-encoding"))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(raw)).encode()),
        (b"x-content-type-options", b"nosniff"),
        *kept,
    ]
    unchanged = unchanged_response(etag, kept)
    return _response(200, headers, raw, etag=etag, unchanged=unchanged, packable=packable, stored=stored)


def unchanged_response(etag: bytes, headers: list[tuple[bytes, bytes]]) -> ReadyResponse:
    """Make a 304: the client has the file with this tag already."""
    return _response(304, headers, b"", etag=etag)


def problem_response(status: int, raw: bytes) -> ReadyResponse:
    """Make the response for a problem document; no cache may keep it."""
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(raw)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", CACHE_NOTHING),
    ]
    return plain_response(status, headers, raw)


def plain_response(
    status: int, headers: list[tuple[bytes, bytes]], raw: bytes, *, stored: StoredBody | None = None
) -> ReadyResponse:
    """Make a response without entity tag and without a compressed form."""
    return _response(status, headers, raw, stored=stored)


def _response(
    status: int,
    headers: list[tuple[bytes, bytes]],
    raw: bytes,
    *,
    etag: bytes = b"",
    unchanged: ReadyResponse | None = None,
    packable: bool = False,
    stored: StoredBody | None = None,
) -> ReadyResponse:
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


class ResponseCache:
    """Responses by raw path. Reading needs no lock; changes take one and may come from any thread.

    A reader that fetches an answer from the store takes a ticket before and hands it in with the answer: if the
    collection was published in between, the answer is not kept, for it may be old.
    """

    def __init__(self, *, limit: int = VIEW_BYTES) -> None:
        self._limit = limit
        self._lock = Lock()
        self._answers: OrderedDict[bytes, tuple[GUN, ReadyResponse]] = OrderedDict()
        self._paths: dict[GUN, set[bytes]] = {}
        self._generations = [0] * _STRIPES
        self._stripes = [Lock() for _ in range(_STRIPES)]
        self._bytes = 0

    @property
    def weight(self) -> int:
        """The bytes that the kept responses take."""
        return self._bytes

    def get(self, path: bytes) -> ReadyResponse | None:
        """Return the response under this path, due for renewal or not; None if there is none."""
        found = self._answers.get(path)
        if found is None:
            return None
        try:
            self._answers.move_to_end(path)
        except KeyError:  # dropped by another thread since
            return None
        return found[1]

    def gun(self, path: bytes) -> GUN | None:
        """Return the collection whose response is kept under this path."""
        found = self._answers.get(path)
        return None if found is None else found[0]

    def ticket(self, gun: GUN) -> int:
        """Return the collection's generation: take it before you read the store, and give it to `offer`."""
        return self._generations[hash(gun) % _STRIPES]

    def offer(self, gun: GUN, path: bytes, answer: ReadyResponse, *, ticket: int) -> None:
        """Keep a response that was read from the store after `ticket` was taken, unless the collection changed."""
        with self._lock:
            if self._generations[hash(gun) % _STRIPES] == ticket:
                self._put(gun, path, answer)

    def exchange(self, path: bytes, old: ReadyResponse, new: ReadyResponse) -> bool:
        """Replace `old` by `new`, which says the same. False: `old` is kept no more, or `new` is too large."""
        with self._lock:
            found = self._answers.get(path)
            if found is None or found[1] is not old or new.size > self._limit:
                return False
            self._put(found[0], path, new)
            return True

    @contextmanager
    def changing(self, gun: GUN) -> Iterator[None]:
        """Hold this from before a commit until the cache shows it: so changes show in the order of their commits."""
        with self._stripes[hash(gun) % _STRIPES]:
            yield

    def published(self, gun: GUN, answers: Iterable[tuple[bytes, ReadyResponse]]) -> None:
        """Replace what is kept under these paths."""
        with self._lock:
            self._generations[hash(gun) % _STRIPES] += 1
            for path, answer in answers:
                self._put(gun, path, answer)

    def drop(self, gun: GUN) -> None:
        """Drop every response of a collection."""
        with self._lock:
            self._generations[hash(gun) % _STRIPES] += 1
            for path in list(self._paths.get(gun, ())):
                self._remove(path)

    def _put(self, gun: GUN, path: bytes, answer: ReadyResponse) -> None:
        if answer.size > self._limit:
            self._remove(path)
            return
        self._remove(path)
        self._answers[path] = (gun, answer)
        self._paths.setdefault(gun, set()).add(path)
        self._bytes += answer.size
        while self._bytes > self._limit:
            self._remove(next(iter(self._answers)))

    def _remove(self, path: bytes) -> None:
        found = self._answers.pop(path, None)
        if found is None:
            return
        gun, answer = found
        self._bytes -= answer.size
        paths = self._paths[gun]
        paths.discard(path)
        if not paths:
            del self._paths[gun]
