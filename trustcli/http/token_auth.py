"""Meet a 401 with an Authorization header: Basic, or a Bearer token that a token server gives.

Sources: RFC 9110 section 11 (challenges), distribution's token authentication specification (realm, service, scope;
`token` or `access_token`; refresh_token grant for identity tokens). Secrets go only where ADR 0037 lets them, and
never into a message.
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote_plus, urlencode, urlsplit

from trustcli.config.credential import octets
from trustcli.errors import RemoteMisbehaved, RemoteRefused, RemoteUnreachable
from trustcli.http.challenges import Challenge, parse_challenges
from trustcli.http.messages import Origin, Response, Transport, parse_url
from trustcli.http.redirects import follow
from trustcli.http.refusals import failing, first_line, is_page, login_command
from trustcli.http.this_machine import names_this_machine
from trustdata import bounded_json
from trustdata.errors import (
    InvalidName,
    TooLarge,
    TrustError,
    shown,
)

if TYPE_CHECKING:
    from trustcli.config.credential import Credential
    from trustcli.http.record import Observer

CLIENT_ID = "content-trust"
_log = logging.getLogger(__name__)
MAX_TOKEN_ANSWER = 256 * 1024
"""Bytes of a token server's answer, at most."""

_BEARER_VALUE = re.compile(r"[\x21-\x7e]+", re.ASCII)
_SAME_METHOD = frozenset({307, 308})
_SHORTEST_SECRET = 4  # characters: what is shorter occurs in messages by chance
_NOT_IN_THE_CLEAR = "without credentials, which do not go over plain http"


class CredentialSource(Protocol):
    """Places where credentials are stored (`stored_credentials.StoredCredentials`)."""

    def credential_for(self, server: str, *, repository: str = "") -> Credential | None:
        """Return what is stored for `host[:port]`, or None. `repository`: of a registry. Raises: SettingsUnusable."""


class ChallengeResponder:
    """Meet the challenges of one server. A token server's redirects do not leave it, so no credential goes astray."""

    def __init__(
        self,
        server: Origin,
        credentials: CredentialSource,
        transport: Transport,
        *,
        stored_under: str = "",
        is_registry: bool = False,
        observer: Observer | None = None,
    ) -> None:
        """`stored_under`: the name of the server in Docker's configuration, if it is not its host and port.

        `is_registry`: whether the names in scopes are those of its repositories, for which credentials may be stored.
        """
        self._server = server
        self._credentials = credentials
        self._transport = transport
        self._stored_under = stored_under or server.netloc
        self._is_registry = is_registry
        self._observer = observer
        self.tried = "without credentials"
        """What the last challenge was met with, for messages."""
        self._fetched = False
        self._used: Credential | None = None
        self._unreadable = False
        self._server_is_here = server.is_loopback
        self._login = f"docker login {self._stored_under}" if is_registry else login_command(str(server))
        """The command with which one logs in."""

    def authorization(self, response: Response, *, scope: str) -> str:
        """Return the value of Authorization to repeat the request with. `scope`: what is to be done there.

        A scope that the server names counts if it is about something else, as where a redirect has led elsewhere. Of
        the same repository it may name more than is needed, and more may be refused: docker asks for its own, too.

        Raises: RemoteRefused (no way in, or the token server refused), RemoteUnreachable, RemoteMisbehaved,
        SettingsUnusable.
        """
        challenges = parse_challenges(response.every("www-authenticate"))
        scope = _scope_to_ask_for(scope, challenges)
        self._used, self._unreadable, self._fetched = None, False, False
        self._server_is_here = self._server.is_loopback or response.from_here
        try:
            value = self._met(response, challenges, scope)
        except TrustError as failure:
            self._tell(challenges, scope, failure=failure)
            raise
        self._tell(challenges, scope, authorization=value)
        return value

    def check_token(self, response: Response) -> None:
        """Check the answer to a request with what the last challenge was met with.

        Raises: RemoteMisbehaved (it calls the token of its own token server none: RFC 6750, 3.1).
        """
        challenges = parse_challenges(response.every("www-authenticate")) if response.challenges else ()
        invalid = any(c.scheme == "bearer" and c.parameters.get("error") == "invalid_token" for c in challenges)
        if self._fetched and invalid:
            reason = (
                "it refuses the token that its own token server has just given (invalid_token): the two do not know "
                "each other's keys or names, or their clocks differ"
            )
            raise RemoteMisbehaved(remote=str(self._server), reason=reason)

    def _met(self, response: Response, challenges: Sequence[Challenge], scope: str) -> str:
        self._used = credential = self._credential(_repository_in(scope) if self._is_registry else "")
        basic = any(c.scheme == "basic" for c in challenges)
        if credential is not None and credential.is_api_token and challenges and not self._is_registry:
            return _bearer_value(credential.password, self._server)
        for challenge in challenges:
            # Bearer that names no token server is for tokens of another kind: then Basic is meant for us.
            if challenge.scheme == "bearer" and not (basic and _names_no_place(challenge)):
                return self._bearer(challenge, credential, scope)
        if basic:
            return self._basic(credential)
        offered = ", ".join(shown(c.scheme, 30) for c in challenges) or "nothing"
        reason = f"it asks for authentication and offers {offered}; Bearer and Basic are known here"
        raise self._refusal(self._server, response.status, reason)

    def _refusal(self, origin: Origin, status: int, reason: str, *, page: bool = False) -> RemoteRefused:
        login = "docker login" if self._is_registry else self._login
        return RemoteRefused(remote=str(origin), status=status, reason=reason, page=page, login=login)

    def _tell(
        self,
        challenges: tuple[Challenge, ...],
        scope: str,
        *,
        authorization: str = "",
        failure: TrustError | None = None,
    ) -> None:
        asked = " or ".join(shown(c.scheme, 30) for c in challenges) or "nothing that is known here"
        result = "no way in" if failure is not None else "answered"
        _log.info("%s asks for %s, scope %s: %s %s", self._server, asked, scope or "none", result, self.tried)
        if self._observer is None:
            return
        from trustcli.http.record import Authentication

        self._observer.authenticated(
            Authentication(
                server=self._server,
                stored_under=self._stored_under,
                challenges=challenges,
                scope=scope,
                credential=self._used,
                unreadable=self._unreadable,
                authorization=authorization,
                failure=failure,
            )
        )

    def _credential(self, repository: str) -> Credential | None:
        if not self._server.may_carry_credentials:
            self.tried = _NOT_IN_THE_CLEAR
            return None
        self._unreadable = True  # until it was read
        found = self._credentials.credential_for(self._stored_under, repository=repository)
        self._unreadable = False
        none = f"without credentials (none stored for {self._stored_under})"
        self.tried = f"as {shown(found.label)}" if found else none
        return found

    def _basic(self, credential: Credential | None) -> str:
        if credential is None or not credential.username:
            reason = f"it asks for a user name and password; tried {self.tried}; {self._login}"
            raise self._refusal(self._server, 401, reason)
        return _basic_value(credential)

    def _bearer(self, challenge: Challenge, credential: Credential | None, scope: str) -> str:
        if credential and credential.registry_token:
            return _bearer_value(credential.registry_token, self._server)
        origin, target = self._realm(challenge)
        if credential and not origin.may_carry_credentials:
            credential = self._used = None
            self.tried = _NOT_IN_THE_CLEAR
        query = [("service", s) for s in (challenge.parameters.get("service"),) if s]
        scopes = scope.split()
        if credential and credential.identity_token:
            form = [("grant_type", "refresh_token"), *query, ("client_id", CLIENT_ID), ("scope", " ".join(scopes))]
            body = urlencode([*form, ("refresh_token", octets(credential.identity_token))]).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            response = self._ask("POST", origin, target, headers, body)
        else:
            query += [("scope", s) for s in scopes]
            headers = {"Authorization": _basic_value(credential)} if credential and credential.username else {}
            separator = "&" if "?" in target else "?"
            target += separator + urlencode(query) if query else ""
            response = self._ask("GET", origin, target, headers)
        return _bearer_value(self._token(response, origin), origin)

    def _ask(
        self, method: str, origin: Origin, target: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Response:
        limit = MAX_TOKEN_ANSWER
        count = 0
        while True:
            try:
                response = self._transport.exchange(method, origin, target, headers=headers, limit=limit, body=body)
            except TooLarge as error:
                # Converted here: callers read TooLarge as being about their own request.
                reason = f"the token server's answer is larger than {limit} bytes"
                raise RemoteMisbehaved(remote=str(origin), reason=reason) from error
            except RemoteUnreachable as error:
                if origin != self._server:  # the user has never heard of it
                    error.named_by = str(self._server)
                raise
            if not response.redirects:
                return response
            count += 1
            # Within its origin the same request goes to another path; a POST only where it stays one.
            as_it_is = "GET" if response.status in _SAME_METHOD else method
            _, target = follow(as_it_is, origin, target, response, count=count, within=origin)

    def _realm(self, challenge: Challenge) -> tuple[Origin, str]:
        realm = challenge.parameters.get("realm", "")
        if not realm:
            reason = "it asks for a token, and does not name the token server that gives one (realm)"
            raise RemoteMisbehaved(remote=str(self._server), reason=reason)
        try:
            origin, target = parse_url(realm, kind="token realm")
        except InvalidName as error:
            raise RemoteMisbehaved(remote=str(self._server), reason=str(error)) from error
        # A plain-http token server must be as near as the server itself: loopback for loopback; for a registry that
        # the user declared insecure, without a credential. One on this machine may be named by this machine alone, or
        # any server could send us to a service here; what address a name has is judged where it is connected to.
        near = self._server_is_here if origin.is_loopback else self._server.scheme == "http"
        if origin.scheme == "http" and not near:
            reason = f"it sends us for a token to {origin}, over plain http"
            raise RemoteMisbehaved(remote=str(self._server), reason=reason)
        if names_this_machine(origin.host) and not self._server_is_here:
            reason = f"it sends us for a token to {origin}, on this machine"
            raise RemoteMisbehaved(remote=str(self._server), reason=reason)
        if urlsplit(realm).fragment:
            raise RemoteMisbehaved(remote=str(self._server), reason="its token realm has a fragment")
        return origin, target

    def secrets(self, authorization: Iterable[str] = ()) -> tuple[str, ...]:
        """Return what was sent and no message may hold, with the secrets in these values of the header, longest first.

        A very short one is left out: it cannot be told from words. As a form has them, too.
        """
        found = {value.partition(" ")[2] for value in authorization}
        if (used := self._used) is not None:
            found |= {used.password, used.identity_token, _basic_value(used).removeprefix("Basic ")}
        found |= {quote_plus(octets(secret)) for secret in found}
        return tuple(sorted((each for each in found if len(each) >= _SHORTEST_SECRET), key=len, reverse=True))

    def _token(self, response: Response, origin: Origin) -> str:
        of = "" if origin == self._server else f" of {self._server}"
        said = "" if response.ok else first_line(response, self.secrets())
        if response.server_fails:
            raise failing(response, remote=str(origin), said=said, what=f"the token server{of}")
        if not response.ok:
            who = self.tried.removeprefix("as ")
            refuses = f"gives no token {self.tried}"
            if who != self.tried and response.forbids:
                refuses = f"refuses the credentials of {who}"
            # A trust server that keeps passwords gives tokens itself: its users know of no token server.
            is_itself = origin == self._server and not self._is_registry
            giver = "it" if is_itself else f"the token server{of}"
            reason = f"{giver} {refuses}" + (f": {said}" if said else "")
            page = is_page(response) and not response.forbids
            raise self._refusal(origin, response.status, reason, page=page)
        said = ""
        try:
            content = bounded_json.loads(response.body)
            said = first_line(response, self.secrets()) if isinstance(content, dict) else ""
            token = content.get("token") or content.get("access_token")
        except (ValueError, AttributeError, RecursionError):
            token = None
        if not isinstance(token, str) or not token:
            if response.body.lstrip().startswith(b"<"):
                said = f"it is a page for people ({first_line(response, self.secrets())})"
            # Without the cause, which would hold the answer.
            reason = "the token server's answer holds no token" + (f": {said}" if said else "")
            raise RemoteMisbehaved(remote=str(origin), reason=reason) from None
        self._fetched = True
        return token


def _scope_to_ask_for(ours: str, challenges: Sequence[Challenge]) -> str:
    theirs = next((c.parameters.get("scope") for c in challenges if c.scheme == "bearer"), None)
    return theirs if theirs and theirs.rpartition(":")[0] != ours.rpartition(":")[0] else ours


def _names_no_place(challenge: Challenge) -> bool:
    try:
        parse_url(challenge.parameters.get("realm", ""), kind="token realm")
    except InvalidName:
        return True
    return False


def _repository_in(scope: str) -> str:
    """Return the repository of a scope, as in `repository:team/app:pull`; empty if it is about something else."""
    kind, _, rest = scope.partition(" ")[0].partition(":")
    return rest.rpartition(":")[0] if kind == "repository" else ""


def _basic_value(credential: Credential) -> str:
    return "Basic " + base64.b64encode(octets(f"{credential.username}:{credential.password}")).decode()


def _bearer_value(token: str, origin: Origin) -> str:
    if not _BEARER_VALUE.fullmatch(token):
        raise RemoteMisbehaved(remote=str(origin), reason="its token holds characters that no token may hold")
    return f"Bearer {token}"
