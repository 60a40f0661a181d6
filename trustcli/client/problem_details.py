"""Turn a trust server's refusals (RFC 9457 problem documents) back into the errors that they were on the server.

Nothing in them is signed: they decide what the user is told and what is tried next, never what is trusted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

from trustcli.http.messages import Answer
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


def problem(answer: Answer) -> Mapping[str, object]:
    """Return the members of the answer's problem document; empty if the answer holds none."""
    if "json" not in answer.first("content-type"):
        return {}
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def failure(answer: Answer, *, remote: str, tried: str) -> TrustError:
    """Return the error for an answer that is not a success.

    `tried`: the credentials that were sent, in words, for messages.
    """
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


def publish_failure(answer: Answer, *, remote: str, tried: str) -> TrustError:
    """Return the error for a refused upload; conflicts that a publisher can resolve keep their own class."""
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
