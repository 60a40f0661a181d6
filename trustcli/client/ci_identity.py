"""Find the token that a CI platform gives to this job, and exchange it at the trust server for one of the server's own.

GitHub Actions: the job asks for a token, with ACTIONS_ID_TOKEN_REQUEST_URL and ACTIONS_ID_TOKEN_REQUEST_TOKEN, which
`permissions: id-token: write` sets. GitLab, Kubernetes and others: the token stands in TRUST_ID_TOKEN, or in the file
that TRUST_ID_TOKEN_FILE names.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

from trustcli.client.problem_details import failure
from trustcli.client.server_link import ServerLink
from trustcli.client.trust_credentials import checked_token, token_from_file
from trustcli.config.credential import Credential
from trustcli.config.settings import Settings
from trustcli.errors import RemoteMisbehaved, RemoteRefused, SettingsUnusable, UsageError
from trustcli.http.messages import Response, parse_url
from trustcli.http.network import Network
from trustcli.http.refusals import words
from trustdata import bounded_json
from trustdata.errors import InvalidName, shown

EXCHANGE: Final = "/api/v1/access/exchange"
_LIMIT: Final = 64 * 1024
_URL: Final = "ACTIONS_ID_TOKEN_REQUEST_URL"
_REQUEST_TOKEN: Final = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"  # noqa: S105 - the name of a variable
_GIVEN: Final = "TRUST_ID_TOKEN"
_GIVEN_FILE: Final = "TRUST_ID_TOKEN_FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangedToken:
    """What a trust server gives for the token of a job. `subject`: whom it names there. `expires`: as it says."""

    token: str = field(repr=False)
    subject: str
    expires: str


class _NoCredentials:
    """Nothing is stored for a server that is asked with a token of its own."""

    def credential_for(self, server: str, *, repository: str = "") -> Credential | None:
        del server, repository
        return None


def job_token(environ: Mapping[str, str], settings: Settings, network: Network, *, audience: str) -> str:
    """Return the token that says which job this is, for this audience.

    Raises: UsageError (no platform has given one), SettingsUnusable, RemoteUnreachable, RemoteRefused,
    RemoteMisbehaved.
    """
    if given := environ.get(_GIVEN, "").strip():
        return _for_us(checked_token(given, _GIVEN), audience, _GIVEN)
    if file := environ.get(_GIVEN_FILE, ""):
        token = token_from_file(Path(file), settings, given_by=_GIVEN_FILE)
        return _for_us(token, audience, f"{file} ({_GIVEN_FILE})")
    url, request_token = environ.get(_URL, ""), environ.get(_REQUEST_TOKEN, "")
    if url and request_token:
        return _github_token(url, checked_token(request_token, _REQUEST_TOKEN), network, audience)
    raise UsageError(
        "no CI platform has given a token to this job: GitHub Actions does with permissions: id-token: write; for "
        f"others it stands in {_GIVEN} or in the file that {_GIVEN_FILE} names"
    )


def _for_us(token: str, audience: str, source: str) -> str:
    """Return a token if it is for this audience: another server could exchange it where it is for.

    What cannot be read is for the trust server to refuse. Raises: SettingsUnusable.
    """
    payload = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        claims = bounded_json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):
        return token
    named = claims.get("aud") if isinstance(claims, dict) else None
    if named is None or named == audience or (isinstance(named, list) and audience in named):
        return token
    reason = f"is a token for {shown(str(named), 100)}, not for {audience}: give the one it is for as --audience"
    raise SettingsUnusable(place=source, reason=reason)


def exchange(link: ServerLink, token: str) -> ExchangedToken:
    """Exchange the token of a job. Raises: RemoteRefused, RemoteMisbehaved, RemoteUnreachable, TooLarge."""
    answer = link.ask("POST", EXCHANGE, scope="", limit=_LIMIT, headers=_bearer(token))
    if not answer.ok:
        raise failure(answer, remote=link.name, tried="with the token of this job")
    members = _members(answer)
    texts = [members.get(name) for name in ("token", "subject", "expires")]
    if not all(isinstance(text, str) and text for text in texts):
        raise RemoteMisbehaved(remote=link.name, reason="its answer to the token of this job has no token")
    given, subject, expires = map(str, texts)
    return ExchangedToken(token=checked_token(given, f"the answer of {link.name}"), subject=subject, expires=expires)


def unauthenticated_link(url: str, network: Network) -> ServerLink:
    """Return the way to a server for which no stored credentials count. Raises: InvalidName."""
    return ServerLink(url, network, _NoCredentials())


def _github_token(url: str, request_token: str, network: Network, audience: str) -> str:
    try:
        origin, target = parse_url(url, kind="address of a token server")
    except InvalidName as error:
        raise SettingsUnusable(place=_URL, reason=str(error)) from error
    if not origin.may_carry_credentials:
        raise SettingsUnusable(place=_URL, reason="is neither https nor this machine: no token goes there in the clear")
    target += ("&" if "?" in target else "?") + f"audience={quote(audience, safe='')}"
    with contextlib.closing(unauthenticated_link(str(origin), network)) as link:
        answer = link.ask("GET", target, scope="", limit=_LIMIT, headers=_bearer(request_token))
    if not answer.ok:
        reason = f"it gives no token to this job: {words(answer)}"
        raise RemoteRefused(remote=str(origin), status=answer.status, reason=reason, login="")
    value = _members(answer).get("value")
    if not isinstance(value, str) or not value:
        raise RemoteMisbehaved(remote=str(origin), reason="its answer holds no token for this job")
    return checked_token(value, f"the answer of {origin}")


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _members(answer: Response) -> Mapping[str, object]:
    try:
        content = bounded_json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
