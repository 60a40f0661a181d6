"""Make the responses for TUF 1.0: metadata files, and problem documents for files that are not there."""

from __future__ import annotations

from typing import Final

import orjson

from trustdata.errors import TrustError
from trustdata.gun import GUN
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
)
from trustserver.responses.tuf_paths import FileName
from trustserver.storage.ports import StoredFile

PROBLEM_TYPE: Final = "application/problem+json"
"""The media type of a problem document."""

PACK_FROM: Final = 1024
"""Bytes of a file from which on a compressed form is worth while: below, either fits into one packet."""


def problem(error: TrustError, *, status: int, title: str) -> bytes:
    """Return a problem document (RFC 9457) as JSON, with the error's data as further members."""
    head = {"title": title, "status": status, "detail": str(error), "code": error.code}
    return orjson.dumps({**error.details(), **head})


def versioned(gun: GUN, file: StoredFile) -> ReadyResponse:
    """Return the response for a file with its version in the name. Caches may keep it, since it never changes."""
    return file_response(file.raw, file.sha256, cache=cache_control.IMMUTABLE, stored=stored_body(gun, file))


def newest(gun: GUN, file: StoredFile) -> ReadyResponse:
    """Return the response for a file without a version in its name. Caches must ask for it again each time."""
    return file_response(file.raw, file.sha256, cache=cache_control.REVALIDATE, stored=stored_body(gun, file))


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
