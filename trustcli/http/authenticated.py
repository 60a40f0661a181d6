"""A server, with credentials when it challenges, and redirects inside its own origin; both bounded in number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from trustcli.http.connection import HttpConnection
from trustcli.http.messages import MAX_REDIRECTS, Answer, Origin, parse_url
from trustdata.errors import InvalidName, RemoteMisbehaved

if TYPE_CHECKING:
    from trustcli.http.time_budget import Clock, Timeouts
    from trustcli.http.tls import CertificateAuthorities
    from trustcli.http.token_auth import Authorizer, CredentialSource


class AuthorisedServer:
    """One origin, one connection, and what it let us in with. Not for threads."""

    def __init__(
        self,
        origin: Origin,
        *,
        credentials: CredentialSource,
        authorities: CertificateAuthorities,
        environ: Mapping[str, str],
        clock: Clock,
        timeouts: Timeouts,
    ) -> None:
        self.origin = origin
        self._credentials = credentials
        self._authorities = authorities
        self._environ = environ
        self._clock = clock
        self._timeouts = timeouts
        self._connection = self._connect(origin)
        self._authorizer: Authorizer | None = None
        self._authorization: dict[str, str] = {}

    @property
    def tried(self) -> str:
        """With which credentials the last request was made, for messages."""
        return self._authorizer.tried if self._authorizer else "without credentials"

    def close(self) -> None:
        self._connection.close()

    def ask(
        self,
        method: str,
        target: str,
        *,
        scope: str,
        limit: int,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer, after at most one repetition with credentials and three redirects of a GET.

        Raises: as `HttpConnection.exchange`, and RemoteRefused if a challenge cannot be met.
        """
        challenged = False
        redirects = 0
        while True:
            known = self._authorization.get(scope)
            every = {**(headers or {}), **({"Authorization": known} if known else {})}
            answer = self._connection.exchange(method, target, headers=every, limit=limit, body=body)
            if answer.challenges and not challenged:
                challenged = True
                self._authorization[scope] = self._authorize(answer, scope)
            elif answer.redirects:
                redirects += 1
                target = self._redirected(method, target, answer, redirects)
            else:
                return answer

    def _authorize(self, answer: Answer, scope: str) -> str:
        from trustcli.http.token_auth import Authorizer  # only when challenged: start-up time

        if self._authorizer is None:
            self._authorizer = Authorizer(self.origin, self._credentials, self._token)
        return self._authorizer.authorization(answer, scope=scope)

    def _token(self, origin: Origin, target: str, *, headers: Mapping[str, str], form: bytes | None) -> Answer:
        from trustcli.http.token_auth import MAX_TOKEN_ANSWER

        connection = self._connect(origin)
        try:
            method = "GET" if form is None else "POST"
            return connection.exchange(method, target, headers=headers, limit=MAX_TOKEN_ANSWER, body=form)
        finally:
            connection.close()

    def _connect(self, origin: Origin) -> HttpConnection:
        return HttpConnection(
            origin, authorities=self._authorities, environ=self._environ, clock=self._clock, timeouts=self._timeouts
        )

    def _redirected(self, method: str, target: str, answer: Answer, redirects: int) -> str:
        remote = str(self.origin)
        if method != "GET":
            raise RemoteMisbehaved(remote=remote, reason=f"it redirects a {method}")
        if redirects > MAX_REDIRECTS:
            raise RemoteMisbehaved(remote=remote, reason=f"more than {MAX_REDIRECTS} redirects")
        location = answer.first("location")
        try:
            origin, target = parse_url(urljoin(f"{self.origin}{target}", location), kind="redirect")
        except (InvalidName, ValueError) as error:
            raise RemoteMisbehaved(remote=remote, reason="it redirects to something that is no URL") from error
        if origin != self.origin:
            raise RemoteMisbehaved(remote=remote, reason=f"it redirects to another server, {origin}")
        return target
