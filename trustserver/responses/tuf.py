"""What the server says about metadata files, ready to send: found, renewed until, or not there."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson

from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustserver.errors import NotThere
from trustserver.responses.cache import CACHE_IMMUTABLE, CACHE_REVALIDATE, Answer, file_answer, problem_answer
from trustserver.responses.tuf_paths import FileName


def problem(error: TrustError, *, status: int, title: str) -> bytes:
    """A problem document (RFC 9457) with the error's data as members."""
    head = {"title": title, "status": status, "detail": str(error), "code": error.code}
    return orjson.dumps({**error.details(), **head})


def versioned(raw: bytes, sha256: str) -> Answer:
    """A file under its version: for ever the same."""
    return file_answer(raw, sha256, cache=CACHE_IMMUTABLE)


def newest(raw: bytes, sha256: str, *, renew_at: datetime | None = None) -> Answer:
    """A file under its bare name: to be asked for again each time."""
    if renew_at is None:
        return file_answer(raw, sha256, cache=CACHE_REVALIDATE)
    return file_answer(raw, sha256, cache=CACHE_REVALIDATE, renew_at=int(renew_at.astimezone(UTC).timestamp()))


def missing(gun: GUN, name: FileName) -> Answer:
    """404 for a file of a collection that is there."""
    return not_found(NotThere(what=f"{name} of {gun}"))


def not_found(error: TrustError) -> Answer:
    """404, the one status on which TUF clients end their search; no cache may keep it."""
    return problem_answer(404, problem(error, status=404, title="Not found"))
