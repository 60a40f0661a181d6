"""Translate errors of the domain into the errors of Notary v1, with one table.

Statuses that Notary's clients do not judge by are those of `problems`, as is Retry-After.

Notary's clients show the text of an error only if the body has at most 1024 bytes and its list has exactly one error;
otherwise they say only that the operation was rejected. For a refused update, `detail.Name` decides what they print.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from trustdata.errors import (
    CertificateOfAnotherName,
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
    VersionMismatch,
    shown,
)
from trustdata.roles import ROOT, SNAPSHOT, TARGETS
from trustserver.api.gun_path import Send
from trustserver.api.problems import retry_after_of, status_of
from trustserver.auth.authorizer import BASIC_CHALLENGE
from trustserver.errors import (
    BadParameters,
    BadRequest,
    ClockJumped,
    EncodingRefused,
    Forbidden,
    GoneCollection,
    NoFileName,
    NoSuchRoute,
    NotThere,
    Overloaded,
    RequestTooSlow,
    RevisionMoved,
    ServerKeysUnavailable,
    Stopping,
    TooMany,
    UnknownRole,
)
from trustserver.responses.ready import NOSNIFF

LONGEST: Final = 1023
"""The highest number of bytes in a body."""
_TRAILING: Final = "Extra data"  # how Python's json module reports bytes after the document

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One action that a token must allow. The body of a 401 lists them."""

    kind: str
    name: str
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    """A response with an error of Notary v1.

    `detail` None: the body has no such member. `error_name`: only for INVALID_UPDATE, the value of `detail.Name`;
    `text` is then the message beside it. `subject`, `right`: who lacks what, in the words of access rules.
    """

    status: int
    code: str
    message: str
    detail: object = None
    error_name: str = ""
    text: str = ""
    subject: str = ""
    right: str = ""


class _Row(Protocol):
    def __call__(self, error: TrustError, /) -> _Refusal: ...


def _not_found(error: TrustError) -> _Refusal:
    detail: object = None if isinstance(error, NoSuchRoute) else {}
    return _Refusal(
        status=404,
        code="METADATA_NOT_FOUND",
        message="You have requested metadata that does not exist.",
        detail=detail,
    )


def _invalid_update(error_name: str, text: str) -> _Refusal:
    return _Refusal(
        status=400,
        code="INVALID_UPDATE",
        message="Update sent by the client is invalid.",
        error_name=error_name,
        text=text,
    )


def _error_name(role: str) -> str:
    """Return Notary's error name for something wrong with a role, or with the whole upload."""
    if role == TARGETS or role.startswith(f"{TARGETS}/"):
        return "ErrBadTargets"
    return {str(ROOT): "ErrBadRoot", str(SNAPSHOT): "ErrBadSnapshot"}.get(role, "ErrValidation")


def _by_role(error: TrustError) -> _Refusal:
    """Return the refusal of an update because of the role that the error names."""
    return _invalid_update(_error_name(str(getattr(error, "role", ""))), str(error))


def _version_conflict(error: TrustError) -> _Refusal:
    del error
    return _Refusal(status=400, code="VERSION", message="A newer version of metadata is already available.", detail={})


def _root_step(error: TrustError) -> _Refusal:
    if isinstance(error, VersionMismatch) and error.role == ROOT:
        text = "Root modifications must increment the version."
        return _invalid_update("ErrBadRoot", f"{text} Current {error.expected - 1}, new {error.offered}")
    return _by_role(error)


def _bad_root(error: TrustError) -> _Refusal:
    return _invalid_update("ErrBadRoot", str(error))


def _no_key(error: TrustError) -> _Refusal:
    if getattr(error, "role", "") == SNAPSHOT:
        text = "no snapshot was included in update and server does not hold current snapshot key for repository"
        return _invalid_update("ErrBadHierarchy", text)
    return _invalid_update("ErrBadRoot", "no timestamp keys exist on the server")


def _incomplete(error: TrustError) -> _Refusal:
    """Return the refusal of an upload that lacks a file, or is for a collection in another format."""
    if isinstance(error, CollectionExists):
        return _invalid_update("ErrValidation", str(error))
    if type(error) is PublishRefused and error.role == ROOT:
        return _invalid_update("ErrValidation", "no pre-existing root and no root provided in update.")
    if type(error) is PublishRefused and error.role == TARGETS:
        return _invalid_update("ErrValidation", str(error))
    return _by_role(error)


def _malformed(error: TrustError) -> _Refusal:
    cause = error.__cause__
    no_json = isinstance(cause, UnicodeDecodeError | json.JSONDecodeError)
    if no_json and getattr(cause, "msg", "") != _TRAILING:
        return _Refusal(
            status=400, code="MALFORMED_JSON", message="JSON sent by the client could not be parsed by the server"
        )
    return _by_role(error)


def _malformed_upload(_: TrustError) -> _Refusal:
    return _Refusal(
        status=400,
        code="MALFORMED_UPLOAD",
        message="The body of your request is malformed.",
    )


def _no_filename(error: TrustError) -> _Refusal:
    del error
    return _Refusal(status=400, code="NO_FILENAME", message="No file/role name provided.")


def _invalid_role(error: TrustError) -> _Refusal:
    return _Refusal(
        status=400,
        code="INVALID_ROLE",
        message="The role you are attempting to operate on is invalid.",
        detail=shown(str(getattr(error, "place", ""))),
    )


def _invalid_parameters(error: TrustError) -> _Refusal:
    message = "The parameters provided are not valid."
    return _Refusal(status=400, code="INVALID_PARAMETERS", message=message, detail=str(error))


def _invalid_gun(error: TrustError) -> _Refusal:
    if getattr(error, "kind", "") != "collection name":
        return _by_role(error)
    message = "The server does not support actions on images of this name."
    return _Refusal(status=400, code="INVALID_GUN", message=message, detail=str(error))


def _too_large(error: TrustError) -> _Refusal:
    return _invalid_update(_error_name(str(getattr(error, "what", "")).removesuffix(" metadata")), str(error))


def _unavailable(error: TrustError) -> _Refusal:
    return _Refusal(status=status_of(error), code="UNAVAILABLE", message="The server cannot do this now; try again.")


def _too_slow(error: TrustError) -> _Refusal:
    return _Refusal(status=status_of(error), code="MALFORMED_UPLOAD", message=str(error))


def _overloaded(error: TrustError) -> _Refusal:
    return _Refusal(status=status_of(error), code="UNAVAILABLE", message=str(error))


def _too_many(error: TrustError) -> _Refusal:
    return _Refusal(status=status_of(error), code="TOO_MANY", message=str(error))


def _clock_jumped(error: TrustError) -> _Refusal:
    return _Refusal(status=status_of(error), code="CLOCK_JUMPED", message=str(error))


def _no_keys(error: TrustError) -> _Refusal:
    return _Refusal(status=status_of(error), code="SERVER_KEYS", message=str(error))


_INTERNAL: Final = _Refusal(status=500, code="UNKNOWN", message="The server failed; its log says why.")

_TABLE: Final[tuple[tuple[type[TrustError], _Row], ...]] = (
    (NotThere, _not_found),
    (NoTrustData, _not_found),
    (GoneCollection, _not_found),
    (InvalidName, _invalid_gun),
    (NoFileName, _no_filename),
    (UnknownRole, _invalid_role),
    (BadParameters, _invalid_parameters),
    (BadRequest, _malformed_upload),
    (EncodingRefused, _malformed_upload),
    (RequestTooSlow, _too_slow),
    (TooLarge, _too_large),
    (VersionConflict, _version_conflict),
    (ServerKeyNotUsed, _no_key),
    (PublishRefused, _incomplete),
    (MalformedMetadata, _malformed),
    (VersionMismatch, _root_step),
    (CertificateOfAnotherName, _bad_root),
    (NotTrusted, _by_role),
    (NotStored, _unavailable),
    (ClockJumped, _clock_jumped),
    (ServerKeysUnavailable, _no_keys),
    (RevisionMoved, _unavailable),
    (Overloaded, _overloaded),
    (TooMany, _too_many),
    (Stopping, _unavailable),
)


def notary_error(error: Exception, *, access: Sequence[Access] = ()) -> tuple[int, bytes]:
    """Return status and body of the response for an error. `access`: what the request needs, if it is Forbidden."""
    refusal = _refusal(error, access)
    body = _body(refusal, refusal.detail, refusal.text)
    if len(body) <= LONGEST:
        return refusal.status, body
    if not refusal.error_name:
        return refusal.status, _body(replace(refusal, subject="", right=""), None if access else {}, "")
    low, high = 0, len(refusal.text)
    # Find the longest beginning of the text that fits. Its size in the body depends on how it is escaped.
    while low < high:
        middle = (low + high + 1) // 2
        fits = len(_body(refusal, None, refusal.text[:middle] + "...")) <= LONGEST
        low, high = (middle, high) if fits else (low, middle - 1)
    return refusal.status, _body(refusal, None, refusal.text[:low] + "...")


async def send_notary_error(send: Send, error: Exception, *, head: bool = False, access: Sequence[Access] = ()) -> None:
    """Answer a request with an error. An unexpected error is logged, and the client is told nothing of it."""
    status, body = notary_error(error, access=access)
    if status == _INTERNAL.status:
        _log.error("request failed", exc_info=error)
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        NOSNIFF,
    ]
    if isinstance(error, Forbidden):
        challenge = error.challenge or BASIC_CHALLENGE
        headers.append((b"www-authenticate", challenge.encode("latin-1", "replace")))
    if (seconds := retry_after_of(error)) is not None:
        headers.append((b"retry-after", str(seconds).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else body})


def _refusal(error: Exception, access: Sequence[Access]) -> _Refusal:
    if isinstance(error, Forbidden):
        listed = [{"Type": a.kind, "Class": "", "Name": a.name, "Action": a.action} for a in access]
        # Also to somebody who is known: of any other status these clients say that the server cannot be reached.
        message = str(error) if error.authenticated and error.right else "authentication required"
        return _Refusal(
            status=401,
            code="UNAUTHORIZED",
            message=message,
            detail=listed,
            subject=shown(error.subject),
            right=error.right,
        )
    for kind, row in _TABLE:
        if isinstance(error, kind):
            return row(error)
    return _INTERNAL


def _body(refusal: _Refusal, detail: object, text: str) -> bytes:
    entry: dict[str, object] = {"code": refusal.code, "message": refusal.message}
    if refusal.error_name:
        missing = {"Missing": SNAPSHOT} if refusal.error_name == "ErrBadHierarchy" else {}
        detail = {"Name": refusal.error_name, "Error": {**missing, "Msg": text}}
    if detail is not None:
        entry["detail"] = detail
    if refusal.right:  # for `trust`; other clients pass over members that they do not know
        entry |= {"subject": refusal.subject, "right": refusal.right}
    return json.dumps({"errors": [entry]}, separators=(",", ":")).encode() + b"\n"
