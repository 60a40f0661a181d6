"""One table: what the domain refuses -> what Notary v1's clients are told, in the one form that they can read.

They read at most 1024 bytes of an error, and of a list that has exactly one element; else they say no more than that
their operation was rejected. What they print of an update that is refused is chosen by `detail.Name`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
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
from trustserver.errors import (
    BadParameters,
    BadRequest,
    DiskFull,
    EncodingRefused,
    Forbidden,
    GoneCollection,
    NoFileName,
    NoSuchRoute,
    NotThere,
    RequestTooSlow,
    RevisionMoved,
    Stopping,
    UnknownRole,
)

LONGEST: Final = 1023
"""Bytes of a body."""
_TRAILING: Final = "Extra data"  # json's word for what follows a document

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a token would have to allow, one action of it, as the challenge's answer lists it."""

    kind: str
    name: str
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    """`detail` None: absent. `about`: what INVALID_UPDATE names; `text` is then its message."""

    status: int
    code: str
    message: str
    detail: object = None
    about: str = ""
    text: str = ""


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


def _update(about: str, text: str) -> _Refusal:
    return _Refusal(
        status=400, code="INVALID_UPDATE", message="Update sent by the client is invalid.", about=about, text=text
    )


def _about(role: str) -> str:
    """What a client is told that is wrong: the role's kind, or the upload as a whole."""
    if role == TARGETS or role.startswith(f"{TARGETS}/"):
        return "ErrBadTargets"
    return {str(ROOT): "ErrBadRoot", str(SNAPSHOT): "ErrBadSnapshot"}.get(role, "ErrValidation")


def _by_role(error: TrustError) -> _Refusal:
    """Whatever is wrong with the file of a role."""
    return _update(_about(str(getattr(error, "role", ""))), str(error))


def _version(error: TrustError) -> _Refusal:
    del error
    return _Refusal(status=400, code="VERSION", message="A newer version of metadata is already available.", detail={})


def _root_step(error: TrustError) -> _Refusal:
    if isinstance(error, VersionMismatch) and error.role == ROOT:
        text = "Root modifications must increment the version."
        return _update("ErrBadRoot", f"{text} Current {error.expected - 1}, new {error.offered}")
    return _by_role(error)


def _bad_root(error: TrustError) -> _Refusal:
    return _update("ErrBadRoot", str(error))


def _no_key(error: TrustError) -> _Refusal:
    if getattr(error, "role", "") == SNAPSHOT:
        text = "no snapshot was included in update and server does not hold current snapshot key for repository"
        return _update("ErrBadHierarchy", text)
    return _update("ErrBadRoot", "no timestamp keys exist on the server")


def _incomplete(error: TrustError) -> _Refusal:
    """An upload that lacks a file, or that is for a collection of another kind."""
    if isinstance(error, CollectionExists):
        return _update("ErrValidation", str(error))
    if type(error) is PublishRefused and error.role == ROOT:
        return _update("ErrValidation", "no pre-existing root and no root provided in update.")
    if type(error) is PublishRefused and error.role == TARGETS:
        return _update("ErrValidation", str(error))
    return _by_role(error)


def _malformed(error: TrustError) -> _Refusal:
    cause = error.__cause__
    no_json = isinstance(cause, UnicodeDecodeError | json.JSONDecodeError)
    if no_json and getattr(cause, "msg", "") != _TRAILING:
        return _Refusal(
            status=400, code="MALFORMED_JSON", message="JSON sent by the client could not be parsed by the server"
        )
    return _by_role(error)


def _form(error: TrustError) -> _Refusal:
    return _Refusal(
        status=408 if isinstance(error, RequestTooSlow) else 400,
        code="MALFORMED_UPLOAD",
        message="The body of your request is malformed.",
    )


def _unnamed(error: TrustError) -> _Refusal:
    del error
    return _Refusal(status=400, code="NO_FILENAME", message="No file/role name provided.")


def _no_role(error: TrustError) -> _Refusal:
    return _Refusal(
        status=400,
        code="INVALID_ROLE",
        message="The role you are attempting to operate on is invalid.",
        detail=shown(str(getattr(error, "place", ""))),
    )


def _parameters(error: TrustError) -> _Refusal:
    message = "The parameters provided are not valid."
    return _Refusal(status=400, code="INVALID_PARAMETERS", message=message, detail=str(error))


def _gun(error: TrustError) -> _Refusal:
    if getattr(error, "kind", "") != "collection name":
        return _by_role(error)
    message = "The server does not support actions on images of this name."
    return _Refusal(status=400, code="INVALID_GUN", message=message, detail=str(error))


def _size(error: TrustError) -> _Refusal:
    return _update(_about(str(getattr(error, "what", "")).removesuffix(" metadata")), str(error))


def _unavailable(error: TrustError) -> _Refusal:
    status = 507 if isinstance(error, DiskFull) else 503
    return _Refusal(status=status, code="UNAVAILABLE", message="The server cannot do this now; try again.")


_INTERNAL: Final = _Refusal(status=500, code="UNKNOWN", message="The server failed; its log says why.")

_TABLE: Final[tuple[tuple[type[TrustError], _Row], ...]] = (
    (NotThere, _not_found),
    (NoTrustData, _not_found),
    (GoneCollection, _not_found),
    (InvalidName, _gun),
    (NoFileName, _unnamed),
    (UnknownRole, _no_role),
    (BadParameters, _parameters),
    (BadRequest, _form),
    (EncodingRefused, _form),
    (RequestTooSlow, _form),
    (TooLarge, _size),
    (VersionConflict, _version),
    (ServerKeyNotUsed, _no_key),
    (PublishRefused, _incomplete),
    (MalformedMetadata, _malformed),
    (VersionMismatch, _root_step),
    (CertificateOfAnotherName, _bad_root),
    (NotTrusted, _by_role),
    (NotStored, _unavailable),
    (RevisionMoved, _unavailable),
    (Stopping, _unavailable),
)


def notary_error(error: Exception, *, access: Sequence[Access] = ()) -> tuple[int, bytes]:
    """Status and body. `access`: what the request needs, for a Forbidden."""
    refusal = _refusal(error, access)
    body = _body(refusal, refusal.detail, refusal.text)
    if len(body) <= LONGEST:
        return refusal.status, body
    if not refusal.about:
        return refusal.status, _body(refusal, None if access else {}, "")
    low, high = 0, len(refusal.text)
    while low < high:  # the longest text that fits: what it takes depends on how it is escaped
        middle = (low + high + 1) // 2
        fits = len(_body(refusal, None, refusal.text[:middle] + "...")) <= LONGEST
        low, high = (middle, high) if fits else (low, middle - 1)
    return refusal.status, _body(refusal, None, refusal.text[:low] + "...")


async def send_notary_error(send: Send, error: Exception, *, head: bool = False, access: Sequence[Access] = ()) -> None:
    """Answer a request with a refusal. What is no refusal is logged, and gives nothing away."""
    status, body = notary_error(error, access=access)
    if status == _INTERNAL.status:
        _log.error("request failed", exc_info=error)
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
    if isinstance(error, Forbidden) and error.challenge:
        headers.append((b"www-authenticate", error.challenge.encode("latin-1", "replace")))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else body})


def _refusal(error: Exception, access: Sequence[Access]) -> _Refusal:
    if isinstance(error, Forbidden):
        listed = [{"Type": a.kind, "Class": "", "Name": a.name, "Action": a.action} for a in access]
        status = 401 if error.challenge or not error.authenticated else 403
        return _Refusal(status=status, code="UNAUTHORIZED", message="authentication required", detail=listed)
    for kind, row in _TABLE:
        if isinstance(error, kind):
            return row(error)
    return _INTERNAL


def _body(refusal: _Refusal, detail: object, text: str) -> bytes:
    entry: dict[str, object] = {"code": refusal.code, "message": refusal.message}
    if refusal.about:
        missing = {"Missing": SNAPSHOT} if refusal.about == "ErrBadHierarchy" else {}
        detail = {"Name": refusal.about, "Error": {**missing, "Msg": text}}
    if detail is not None:
        entry["detail"] = detail
    return json.dumps({"errors": [entry]}, separators=(",", ":")).encode() + b"\n"
