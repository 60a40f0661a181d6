"""A trust server's refusals (RFC 9457 problem documents) as the errors that they were on the server.

All of it is the server's word: it decides what is said to the user and what is tried next, never what is trusted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

from trustcli.http.messages import Response
from trustdata.errors import (
    CollectionExists,
    PublishRefused,
    RemoteFull,
    RemoteMisbehaved,
    RemoteRefused,
    RemoteUnreachable,
    ServerKeyNotUsed,
    TrustError,
    VersionConflict,
    WouldBreakRole,
)

_STANDARD: Final = frozenset({"type", "title", "status", "detail", "instance", "code"})


def problem(answer: Response) -> Mapping[str, object]:
    """The members of a problem document; empty if the answer holds none."""
    if "json" not in answer.first("content-type"):
        return {}
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def failure(answer: Response, *, remote: str, tried: str) -> TrustError:
    """The error for an answer that is no success. `tried` says with which credentials it was asked."""
    told = problem(answer)
    said = _text(told, "detail") or _text(told, "title")
    if answer.status == HTTPStatus.INSUFFICIENT_STORAGE:
        return RemoteFull(remote=remote, reason=said or "it gave no reason")
    if answer.server_fails:
        return RemoteUnreachable(remote=remote, reason=f"it answered {answer.status}" + (f": {said}" if said else ""))
    if not answer.refuses:
        return RemoteMisbehaved(remote=remote, reason=f"status {answer.status} has no meaning here")
    reason = said or "no reason given"
    if answer.forbids:
        reason = f"{reason} (asked {tried})"
    details = {key: value for key, value in told.items() if key not in _STANDARD}
    code = _text(told, "code")
    return RemoteRefused(remote=remote, status=answer.status, reason=reason, server_code=code, server_details=details)


def publish_failure(answer: Response, *, remote: str, tried: str) -> TrustError:
    """As `failure`, with the refusals of an upload rebuilt, so that the publisher can act on them."""
    told = problem(answer)
    rebuild = _PUBLISH_ERRORS.get(_text(told, "code"))
    if rebuild is None or not answer.refuses:
        return failure(answer, remote=remote, tried=tried)
    return rebuild(told)


def _text(told: Mapping[str, object], name: str) -> str:
    value = told.get(name)
    return value if isinstance(value, str) else ""


def _number(told: Mapping[str, object], name: str) -> int:
    value = told.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _conflict(told: Mapping[str, object]) -> PublishRefused:
    return VersionConflict(role=_text(told, "role"), offered=_number(told, "offered"), stored=_number(told, "stored"))


def _of(error: type[PublishRefused]) -> Callable[[Mapping[str, object]], PublishRefused]:
    return lambda told: error(role=_text(told, "role"), reason=_text(told, "reason") or _text(told, "detail"))


_PUBLISH_ERRORS: Final[Mapping[str, Callable[[Mapping[str, object]], PublishRefused]]] = {
    VersionConflict.code: _conflict,
    WouldBreakRole.code: _of(WouldBreakRole),
    ServerKeyNotUsed.code: _of(ServerKeyNotUsed),
    CollectionExists.code: _of(CollectionExists),
}
