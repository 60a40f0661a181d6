"""Ask a trust server who it takes us for, and what we may do there. It is not signed: the server says so, nobody else.

Nobody is refused this answer, so the first one may be about `anonymous` although there is a login here. A server then
says beside it how one logs in (WWW-Authenticate with a success: RFC 9110, 11.6.1), and is asked once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote

from trustcli.client.collection_requests import CATALOG_SCOPE, full_scope
from trustcli.client.problem_details import doubtful_absence, failure
from trustcli.client.server_link import ServerLink, page_instead
from trustcli.errors import RemoteMisbehaved, RemoteRefused
from trustcli.http.messages import Response
from trustdata import bounded_json
from trustdata.gun import GUN

WHOAMI: Final = "/api/v1/access/whoami"
_LIMIT: Final = 64 * 1024
_Kind = TypeVar("_Kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class RightHeld:
    """Whether a right is there, and which rule decides."""

    allowed: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who somebody is at a trust server. `authenticated`: by what kind of credential, one word; None for nobody.

    `expires`: when that ends, RFC 3339; None: at no set time. `rights`: on the collection that was named, or on every
    name if none was, by right.
    """

    subject: str
    authenticated: str | None
    expires: str | None
    rights: Mapping[str, RightHeld]


def identity_at(link: ServerLink, gun: GUN | None, *, log_in: bool) -> Identity:
    """Return who we are at a server, and our rights on a collection. `log_in`: there is a login to be shown.

    Raises: RemoteRefused (the login is no good, or the server has no such route), RemoteUnreachable, RemoteMisbehaved,
    TooLarge, SettingsUnusable.
    """
    target = WHOAMI if gun is None else f"{WHOAMI}?name={quote(gun, safe='')}"
    # Of registry tokens, only those say all that one may do which were asked for with everything.
    scope = CATALOG_SCOPE if gun is None else full_scope(gun)
    if log_in:
        link.log_in(target, scope=scope, limit=_LIMIT)
    answer = link.ask("GET", target, scope=scope, limit=_LIMIT)
    if answer.absent and doubtful_absence(answer, remote=link.name) is None:
        reason = "it does not say who asks: it is a trust server of an older version, or of another kind"
        raise RemoteRefused(remote=link.name, status=answer.status, reason=reason)
    if not answer.ok:
        raise failure(answer, remote=link.name, tried=link.tried)
    return _identity(answer, link.name)


def _identity(answer: Response, remote: str) -> Identity:
    try:
        members: Any = bounded_json.loads(answer.body)
        return Identity(
            subject=_of(str, members["subject"]),
            authenticated=None if members["authenticated"] is None else _of(str, members["authenticated"]),
            expires=None if members["expires"] is None else _of(str, members["expires"]),
            rights={
                right: RightHeld(allowed=_of(bool, held["allowed"]), why=_of(str, held["why"]))
                for right, held in members["rights"].items()
            },
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        page = page_instead(answer, what="an answer about who asks", remote=remote)
        raise page or RemoteMisbehaved(remote=remote, reason="its answer about who asks cannot be read") from error


def _of(kind: type[_Kind], value: object) -> _Kind:
    """Return the value if it is of that kind. Raises: TypeError."""
    if not isinstance(value, kind):
        raise TypeError(f"no {kind.__name__}")
    return value
