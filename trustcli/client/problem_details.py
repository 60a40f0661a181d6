"""Turn a trust server's refusals (RFC 9457 problem documents) back into the errors that they were on the server.

They are not signed: they decide what is shown to the user and what is tried next, never what is trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

from trustcli.errors import (
    OF_CERTIFICATE,
    RemoteClockJumped,
    RemoteFull,
    RemoteMisbehaved,
    RemoteRefused,
)
from trustcli.http.messages import Response
from trustcli.http.refusals import failing, is_page, login_command, words
from trustdata import bounded_json
from trustdata.errors import (
    CollectionExists,
    PublishRefused,
    ServerKeyNotUsed,
    TrustError,
    VersionConflict,
    WouldBreakRole,
)

_CLOCK_JUMPED: Final = "clock-jumped"
_TOO_MANY: Final = "too-many"
_NOTARY_ABSENT: Final = "METADATA_NOT_FOUND"
"""How a Notary server says that it has no such file, collection or route."""
_STANDARD: Final = frozenset({"type", "title", "status", "detail", "instance", "code"})


def problem(answer: Response) -> Mapping[str, object]:
    """Return the members of the answer's problem document; empty if the answer holds none."""
    if "json" not in answer.first("content-type"):
        return {}
    try:
        content = bounded_json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def failure(answer: Response, *, remote: str, tried: str) -> TrustError:
    """Return the error for an answer that is not a success.

    `tried`: the credentials that were sent, in words, for messages.
    """
    members = problem(answer)
    detail = _text(members, "detail") or _text(members, "title")
    if answer.server_fails:
        return server_failure(answer, members, remote=remote, said=detail)
    if not answer.refuses:
        return RemoteMisbehaved(remote=remote, reason=f"status {answer.status} has no meaning here")
    reason = refused_reason(answer, members, said=detail, tried=tried)
    refused = refusal(answer, members, remote=remote, reason=reason, tried=tried)
    return refused if answer.status != HTTPStatus.NOT_FOUND or refused.server_code else _of_a_stranger(refused)


def refused_reason(answer: Response, members: Mapping[str, object], *, said: str, tried: str) -> str:
    """Return why a server refuses: as it says, with the right that is missing, and what was shown to it.

    `members`: of its problem document, or of its one Notary error. `said`: its sentence, "" if it has none. `tried`: as
    in `failure`.
    """
    reason = words(answer, said or None)
    if not answer.forbids:
        return reason
    subject, right = _text(members, "subject"), _text(members, "right")
    lacks = f": {subject or 'whoever asks'} has no right {right}" if right and right not in reason else ""
    # A certificate was shown, whatever credentials were not.
    asked = "" if _text(members, "reason").startswith(OF_CERTIFICATE) else f" (asked {tried})"
    return f"{reason}{lacks}{asked}"


def doubtful_absence(answer: Response, *, remote: str) -> RemoteRefused | None:
    """Return the refusal of an absence (404, 410) that no trust server has stated: a trust server says what is absent.

    None if the answer is that of a trust server, ours or a Notary server.
    """
    members = problem(answer)
    if _text(members, "code") or _NOTARY_ABSENT in _notary_codes(members):
        return None
    return _of_a_stranger(refusal(answer, {}, remote=remote, reason=words(answer)))


def _of_a_stranger(refused: RemoteRefused) -> RemoteRefused:
    refused.reason += "; usually the address belongs to something else, or a proxy before it hides what is there"
    refused.page = True
    return refused


def _notary_codes(members: Mapping[str, object]) -> list[object]:
    found = members.get("errors")
    return [error.get("code") for error in found if isinstance(error, dict)] if isinstance(found, list) else []


def server_failure(answer: Response, members: Mapping[str, object], *, remote: str, said: str) -> TrustError:
    """Return the error for a 5xx or 429. `said`: what the server gives as the reason; empty if it gives none."""
    code = _text(members, "code")
    if answer.status == HTTPStatus.INSUFFICIENT_STORAGE:
        if code == _TOO_MANY:  # a limit of the operator's: no disk is full, and waiting is in vain
            return refusal(answer, members, remote=remote, reason=said)
        return RemoteFull(remote=remote, reason=words(answer, said or None))
    if code == _CLOCK_JUMPED:
        return RemoteClockJumped(remote=remote, reason=said)
    return failing(answer, remote=remote, said=said or None)


def refusal(
    answer: Response, members: Mapping[str, object], *, remote: str, reason: str, tried: str = ""
) -> RemoteRefused:
    """Return the error for an answer with which the server refuses for good.

    `members`: of its problem document. `tried`: as in `failure`.
    """
    details = {key: value for key, value in members.items() if key not in _STANDARD}
    code = _text(members, "code")
    return RemoteRefused(
        remote=remote,
        status=answer.status,
        reason=reason,
        server_code=code,
        server_details=details,
        page=is_page(answer),
        login=login_command(remote, tried=tried),
    )


def publish_failure(answer: Response, *, remote: str, tried: str) -> TrustError:
    """Return the error for a refused upload; conflicts that a publisher can resolve keep their own class."""
    members = problem(answer)
    rebuild = _PUBLISH_ERRORS.get(_text(members, "code"))
    if rebuild is None or not answer.refuses:
        return failure(answer, remote=remote, tried=tried)
    return rebuild(members)


def _text(members: Mapping[str, object], name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else ""


def _number(members: Mapping[str, object], name: str) -> int:
    value = members.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _conflict(members: Mapping[str, object]) -> PublishRefused:
    return VersionConflict(
        role=_text(members, "role"), offered=_number(members, "offered"), stored=_number(members, "stored")
    )


def _of(error: type[PublishRefused]) -> Callable[[Mapping[str, object]], PublishRefused]:
    return lambda members: error(
        role=_text(members, "role"), reason=_text(members, "reason") or _text(members, "detail")
    )


_PUBLISH_ERRORS: Final[Mapping[str, Callable[[Mapping[str, object]], PublishRefused]]] = {
    VersionConflict.code: _conflict,
    WouldBreakRole.code: _of(WouldBreakRole),
    ServerKeyNotUsed.code: _of(ServerKeyNotUsed),
    CollectionExists.code: _of(CollectionExists),
}
