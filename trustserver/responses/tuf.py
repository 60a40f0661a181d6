"""Make the responses for TUF 1.0: metadata files, and problem documents for files that are not there."""

from __future__ import annotations

import orjson

from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustserver.errors import NotThere
from trustserver.responses.cache import (
    CACHE_IMMUTABLE,
    CACHE_REVALIDATE,
    ReadyResponse,
    file_response,
    problem_response,
    stored_body,
)
from trustserver.responses.tuf_paths import FileName
from trustserver.storage.ports import StoredFile


def problem(error: TrustError, *, status: int, title: str) -> bytes:
    """Return a problem document (RFC 9457) as JSON, with the error's data as further members."""
    head = {"title": title, "status": status, "detail": str(error), "code": error.code}
    return orjson.dumps({**error.details(), **head})


def versioned(gun: GUN, file: StoredFile) -> ReadyResponse:
    """Return the response for a file with its version in the name. Caches may keep it, since it never changes."""
    return file_response(file.raw, file.sha256, cache=CACHE_IMMUTABLE, stored=stored_body(gun, file))


def newest(gun: GUN, file: StoredFile) -> ReadyResponse:
    """Return the response for a file without a version in its name. Caches must ask for it again each time."""
    return file_response(file.raw, file.sha256, cache=CACHE_REVALIDATE, stored=stored_body(gun, file))


def missing(gun: GUN, name: FileName) -> ReadyResponse:
    """Return the 404 response for a missing file of a collection that exists."""
    return not_found(NotThere(what=f"{name} of {gun}"))


def not_found(error: TrustError) -> ReadyResponse:
    """Return a 404 response with this error. Caches must not keep it.

    The status is 404 whatever the error says, because a TUF client ends its search for newer roots on 404 only.
    """
    return problem_response(404, problem(error, status=404, title="Not found"))
