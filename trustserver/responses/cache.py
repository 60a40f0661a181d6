"""The in-process view: complete answers by URL path, bounded by bytes, the least recently read go first.

Built when something is published or first read, so that a read is one dictionary lookup.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from threading import Lock
from typing import Any, Final

from trustdata.gun import GUN

NEVER: Final = sys.maxsize
VIEW_BYTES: Final = 64 * 1024 * 1024
_STRIPES: Final = 1024
_OVERHEAD: Final = 1024  # of an entry beside its body: path, headers, dictionaries

PACK_FROM: Final = 1024
"""Bytes of a file from which on a compressed form is worth while: below, either fits into one packet."""

CACHE_IMMUTABLE: Final = b"public, max-age=31536000, immutable"
CACHE_REVALIDATE: Final = b"no-cache"
CACHE_NOTHING: Final = b"no-store"
_NO_BODY: Final[MutableMapping[str, Any]] = {"type": "http.response.body", "body": b""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response, ready to send as ASGI events. Whoever sends one must not change it.

    `head`: status line and headers as bytes, for who writes them himself; the date and the empty line are missing.
    `renew_at`: seconds since 1970 from which the answer must not be given without a renewal; NEVER for most.
    `unchanged`: the 304 for who has it already, if it has an entity tag.
    `packable`: there is a compressed form in `packed`, or one can be made (gzip.py).
    """

    status: int
    start: MutableMapping[str, Any]
    body: MutableMapping[str, Any]
    head: bytes
    renew_at: int
    size: int
    etag: bytes = b""
    unchanged: Answer | None = None
    packable: bool = False
    packed: Answer | None = None


def file_answer(raw: bytes, sha256: str, *, cache: bytes, renew_at: int = NEVER) -> Answer:
    """A metadata file, with its hash as entity tag."""
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
    answer = plain_answer(200, headers, raw, renew_at=renew_at)
    return replace(answer, etag=etag, unchanged=unchanged_answer(etag, kept), packable=packable)


def unchanged_answer(etag: bytes, headers: list[tuple[bytes, bytes]]) -> Answer:
    """304: who asks has the file with this tag already."""
    return replace(plain_answer(304, headers, b""), etag=etag, body=_NO_BODY)


def problem_answer(status: int, raw: bytes) -> Answer:
    """A problem document that no cache may keep."""
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(raw)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", CACHE_NOTHING),
    ]
    return plain_answer(status, headers, raw)


def plain_answer(status: int, headers: list[tuple[bytes, bytes]], raw: bytes, *, renew_at: int = NEVER) -> Answer:
    """An answer without entity tag and without a compressed form."""
    return Answer(
        status=status,
        start={"type": "http.response.start", "status": status, "headers": headers},
        body={"type": "http.response.body", "body": raw},
        head=response_head(status, headers),
        renew_at=renew_at,
        size=len(raw) + _OVERHEAD,
    )


def response_head(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Status line and headers; the date and the empty line are still missing."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode(), *(b"%b: %b" % header for header in headers)]
    return b"".join(line + b"\r\n" for line in lines)


class View:
    """Answers by raw path. Reading needs no lock; changes take one and may come from any thread.

    A reader that fetches an answer from the store takes a ticket before and hands it in with the answer: if the
    collection was published in between, the answer is not kept, for it may be old.
    """

    def __init__(self, *, limit: int = VIEW_BYTES) -> None:
        self._limit = limit
        self._lock = Lock()
        self._answers: OrderedDict[bytes, tuple[GUN, Answer]] = OrderedDict()
        self._paths: dict[GUN, set[bytes]] = {}
        self._generations = [0] * _STRIPES
        self._stripes = [Lock() for _ in range(_STRIPES)]
        self._bytes = 0

    @property
    def weight(self) -> int:
        """Bytes that the kept answers take."""
        return self._bytes

    def get(self, path: bytes) -> Answer | None:
        """The answer under this path, due for renewal or not."""
        found = self._answers.get(path)
        if found is None:
            return None
        try:
            self._answers.move_to_end(path)
        except KeyError:  # dropped by another thread since
            return None
        return found[1]

    def gun(self, path: bytes) -> GUN | None:
        """Whose answer is kept under this path."""
        found = self._answers.get(path)
        return None if found is None else found[0]

    def ticket(self, gun: GUN) -> int:
        """To be taken before reading from the store."""
        return self._generations[hash(gun) % _STRIPES]

    def offer(self, gun: GUN, path: bytes, answer: Answer, *, ticket: int) -> None:
        """Keep an answer that was read from the store after `ticket` was taken."""
        with self._lock:
            if self._generations[hash(gun) % _STRIPES] == ticket:
                self._put(gun, path, answer)

    def exchange(self, path: bytes, old: Answer, new: Answer) -> bool:
        """Put `new` in place of `old`, which says the same. False: `old` is kept no more, or `new` is too large."""
        with self._lock:
            found = self._answers.get(path)
            if found is None or found[1] is not old or new.size > self._limit:
                return False
            self._put(found[0], path, new)
            return True

    @contextmanager
    def changing(self, gun: GUN) -> Iterator[None]:
        """To be held from before a commit until the view shows it: changes show in the order of their commits."""
        with self._stripes[hash(gun) % _STRIPES]:
            yield

    def published(self, gun: GUN, answers: Iterable[tuple[bytes, Answer]]) -> None:
        """Put these in place of what is kept under their paths."""
        with self._lock:
            self._generations[hash(gun) % _STRIPES] += 1
            for path, answer in answers:
                self._put(gun, path, answer)

    def drop(self, gun: GUN) -> None:
        """Forget every answer of a collection."""
        with self._lock:
            self._generations[hash(gun) % _STRIPES] += 1
            for path in list(self._paths.get(gun, ())):
                self._remove(path)

    def _put(self, gun: GUN, path: bytes, answer: Answer) -> None:
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
