"""Translate errors into HTTP responses, with one table. Every body is a problem document (RFC 9457).

Notary v1's clients have a table of their own, for what Notary's server says of uploads (`notary_errors`). Who is asked
to authenticate, what the server cannot do, and when to come back is decided here for both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from keys.errors import KeysError
from trustdata.errors import (
    CollectionExists,
    InvalidName,
    MalformedMetadata,
    NoTrustData,
    NotStored,
    NotTrusted,
    PublishRefused,
    ServerKeyNotUsed,
    TooLarge,
    TrustError,
    VersionConflict,
    WouldBreakRole,
)
from trustserver.errors import (
    BadRequest,
    ClockJumped,
    DiskFull,
    EncodingRefused,
    Forbidden,
    GoneCollection,
    HeadTooLarge,
    NotThere,
    OriginRefused,
    Overloaded,
    RequestTooSlow,
    RevisionMoved,
    ServerKeysUnavailable,
    Stopping,
    TokenRefused,
    TooMany,
)
from trustserver.responses import cache_control
from trustserver.responses.ready import NOSNIFF
from trustserver.responses.tuf import PROBLEM_TYPE, problem

_STATUS: Final[tuple[tuple[type[TrustError], int, str], ...]] = (
    (InvalidName, 400, "Invalid name"),
    (BadRequest, 400, "Bad request"),
    (OriginRefused, 403, "Origin refused"),
    (TokenRefused, 403, "Token refused"),
    (NoTrustData, 404, "No trust data"),
    (NotThere, 404, "Not found"),
    (RequestTooSlow, 408, "Request too slow"),
    (VersionConflict, 409, "Version conflict"),
    (WouldBreakRole, 409, "Would break a stored role"),
    (CollectionExists, 409, "Collection exists"),
    (ServerKeyNotUsed, 409, "Server key not used"),
    (GoneCollection, 410, "Collection deleted"),
    (TooLarge, 413, "Too large"),
    (EncodingRefused, 415, "Encoding not accepted"),
    (PublishRefused, 422, "Upload refused"),
    (MalformedMetadata, 422, "Malformed metadata"),
    (NotTrusted, 422, "Upload not trusted"),
    (HeadTooLarge, 431, "Head too large"),
    (DiskFull, 507, "Disk full"),  # before the errors of which it is a kind
    (NotStored, 503, "Not stored"),
    (ClockJumped, 503, "Clock jumped"),
    (ServerKeysUnavailable, 503, "Server keys unavailable"),
    (RevisionMoved, 503, "Busy"),
    (Overloaded, 503, "Overloaded"),
    (Stopping, 503, "Stopping"),
    (TooMany, 507, "Too many"),
)
_INTERNAL: Final = (500, "Internal error")
_SOON: Final = 1
"""Seconds after which a server that could not do something just now is worth another try."""
_HEADERS: Final = {
    name.decode(): value.decode()
    for name, value in (
        (b"content-type", PROBLEM_TYPE.encode()),
        (b"cache-control", cache_control.NOTHING),
        NOSNIFF,
    )
}


class _Internal(TrustError):
    """Stands for any unexpected error. The client is told nothing of it; the log has the details."""

    code = "internal"

    def __str__(self) -> str:
        return "the server failed; its log says why"


_OURS: Final = ("/api/", "/tuf/")
_NOTARY_MEDIA_TYPE: Final = "application/json; charset=utf-8"


def status_of(error: Exception) -> int:
    """Return the HTTP status for an error; 500 for one that is not in the table."""
    return _row(error)[0]


def retry_after_of(error: Exception) -> int | None:
    """Return after how many seconds a request that met this error should be sent again; None if that is no use."""
    if isinstance(error, Overloaded):
        return error.seconds
    return _SOON if status_of(error) == HTTPStatus.SERVICE_UNAVAILABLE else None


def problem_body(error: Exception) -> bytes:
    """Return the problem document for an error. For one that is not in the table it says nothing about the error."""
    status, title = _row(error)
    shown_error = error if isinstance(error, TrustError) and status != _INTERNAL[0] else _Internal()
    return problem(shown_error, status=status, title=title)


def _row(error: Exception) -> tuple[int, str]:
    if isinstance(error, Forbidden):
        known = error.authenticated and not error.challenge
        return (403, "Not allowed") if known else (401, "Authentication needed")
    for kind, status, title in _STATUS:
        if isinstance(error, kind):
            return status, title
    return _INTERNAL


async def send_problem(
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]], error: Exception, *, head: bool = False
) -> None:
    """Answer a request with an error, as a plain ASGI application."""
    body = problem_body(error)
    headers = [(name.encode(), value.encode()) for name, value in _headers_of(error).items()]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status_of(error), "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else body})


def install_error_handlers(app: FastAPI, *, elsewhere: bytes) -> None:
    """Make FastAPI answer every error with a problem document.

    `elsewhere`: the body of a 404 for paths of no API of ours, as Notary's clients read it: they may be sent there.
    """

    async def refused(_: Request, error: Exception) -> Response:
        return _response(status_of(error), problem_body(error), _headers_of(error))

    async def by_framework(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            if error.status_code == 404 and not request.url.path.startswith(_OURS):
                return _response(404, elsewhere, {"content-type": _NOTARY_MEDIA_TYPE})
            code = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "bad-request")
            return _framework_problem(error.status_code, code, str(error.detail), error.headers)
        return _framework_problem(400, "bad-request", "the request does not have the form that the API describes")

    app.add_exception_handler(TrustError, refused)
    app.add_exception_handler(Exception, refused)  # a bug: graceful_shutdown.py logs it
    app.add_exception_handler(KeysError, refused)
    app.add_exception_handler(HTTPException, by_framework)
    app.add_exception_handler(RequestValidationError, by_framework)


def _framework_problem(status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    class _Framework(TrustError):
        def __str__(self) -> str:
            return detail

    _Framework.code = code
    return _response(status, problem(_Framework(), status=status, title=detail), headers)


def _response(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body, status_code=status, headers={**_HEADERS, **(headers or {})})


def _headers_of(error: Exception) -> dict[str, str]:
    headers = dict(_HEADERS)
    if isinstance(error, Forbidden) and error.challenge:
        headers["www-authenticate"] = error.challenge
    if (seconds := retry_after_of(error)) is not None:
        headers["retry-after"] = str(seconds)
    return headers
