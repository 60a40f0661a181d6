"""Make the responses for TUF 1.0: metadata files, and problem documents for files that are not there."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import orjson

from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustdata.roles import ROOT, TIMESTAMP
from trustdata.wire.tuf import TUF
from trustserver.errors import NotThere
from trustserver.responses import cache_control
from trustserver.responses.ready import (
    NOSNIFF,
    ReadyResponse,
    StoredBody,
    plain_response,
    response,
    stored_body,
    unchanged_response,
    with_renewal,
)
from trustserver.responses.tuf_paths import FileName
from trustserver.storage.ports import StoredFile

PROBLEM_TYPE: Final = "application/problem+json"
"""The media type of a problem document."""

_TIMESTAMP: Final = FileName(role=TIMESTAMP, version=None)
PACK_FROM: Final = 1024
"""Bytes of a file from which on a compressed form is worth while: below, either fits into one packet."""


def problem(error: TrustError, *, status: int, title: str) -> bytes:
    """Return a problem document (RFC 9457) as JSON, with the error's data as further members."""
    head = {"title": title, "status": status, "detail": str(error), "code": error.code}
    return orjson.dumps({**error.details(), **head})


def kept_name(file: StoredFile) -> FileName:
    """Return the name under which the response cache has a file: clients ask for a timestamp without its version."""
    return FileName(role=file.role, version=None if file.role == TIMESTAMP else file.version)


def following_root(version: int) -> FileName:
    """Return the name of the root after the newest one, which has this version: every client asks for it."""
    return FileName(role=ROOT, version=version + 1)


def answer_under(gun: GUN, name: FileName, file: StoredFile, *, renew_at: datetime | None = None) -> ReadyResponse:
    """Return the response for a file that is asked for by this name.

    With its version in the name it never changes, and caches may keep it; else they must ask again each time.
    `renew_at`: when the server must sign a timestamp again.
    """
    cache = cache_control.REVALIDATE if name.version is None else cache_control.IMMUTABLE
    answer = file_response(file.raw, file.sha256, cache=cache, stored=stored_body(gun, file))
    return with_renewal(answer, file, TUF, renew_at) if name == _TIMESTAMP else answer


def missing(gun: GUN, name: FileName) -> ReadyResponse:
    """Return the 404 response for a missing file of a collection that exists."""
    return not_found(NotThere(what=f"{name} of {gun}"))


def not_found(error: TrustError) -> ReadyResponse:
    """Return a 404 response with this error. Caches must not keep it.

    The status is 404 whatever the error says, because a TUF client ends its search for newer roots on 404 only.
    """
    return problem_response(404, problem(error, status=404, title="Not found"))


def file_response(raw: bytes, sha256: str, *, cache: bytes, stored: StoredBody | None = None) -> ReadyResponse:
    """Make the response for a metadata file, with its hash as entity tag. `stored`: where its body is stored."""
    etag = b'"' + sha256.encode() + b'"'
    packable = cache == cache_control.IMMUTABLE and len(raw) >= PACK_FROM
    kept = [(b"etag", etag), (b"cache-control", cache)]
    if packable:
        kept.append((b"vary", b"accept-encoding"))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(raw)).encode()),
        NOSNIFF,
        *kept,
    ]
    unchanged = unchanged_response(etag, kept)
    return response(200, headers, raw, etag=etag, unchanged=unchanged, packable=packable, stored=stored)


def problem_response(status: int, raw: bytes) -> ReadyResponse:
    """Make the response for a problem document; no cache may keep it."""
    headers = [
        (b"content-type", PROBLEM_TYPE.encode()),
        (b"content-length", str(len(raw)).encode()),
        NOSNIFF,
        (b"cache-control", cache_control.NOTHING),
    ]
    return plain_response(status, headers, raw)
