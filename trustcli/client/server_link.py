"""The way to one trust server: its origin, and a connection that is opened when something is first asked.

What its answers mean is for the remotes to say (`http_remote`, `notary_remote`); how they come about stands in
`authorised_server` and `http_connection`. All of those are imported at the first request: `--offline` needs none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from trustcli.http.messages import Answer, parse_url
from trustcli.http.time_budget import Clock, Timeouts
from trustdata.errors import InvalidName, TooLarge, TrustError

if TYPE_CHECKING:
    from trustcli.http.authenticated import AuthorisedServer
    from trustcli.http.tls import CertificateAuthorities
    from trustcli.http.token_auth import CredentialSource


class ServerLink:
    """One trust server. One connection, so not for threads."""

    def __init__(
        self,
        server: str,
        *,
        authorities: CertificateAuthorities,
        credentials: CredentialSource,
        environ: Mapping[str, str],
        clock: Clock = time.monotonic,
        timeouts: Timeouts | None = None,
    ) -> None:
        """`server`: URL; a path in it goes before every request's. `environ`: for the proxy variables.

        Raises: InvalidName.
        """
        self._origin, path = parse_url(server, kind="trust server")
        if "?" in path or "#" in server:
            raise InvalidName(kind="trust server", name=server, reason="must not have a query or fragment")
        self._path = path.rstrip("/")
        self._authorities = authorities
        self._credentials = credentials
        self._environ = environ
        self._clock = clock
        self._timeouts = timeouts or Timeouts()
        self._opened: AuthorisedServer | None = None

    @property
    def name(self) -> str:
        """Scheme, host and port, for messages."""
        return str(self._origin)

    @property
    def may_carry_secrets(self) -> bool:
        """Whether what is sent is encrypted, or does not leave this machine."""
        return self._origin.may_carry_credentials

    @property
    def tried(self) -> str:
        """With which credentials the last request was made, for messages."""
        return self._server.tried

    def close(self) -> None:
        """Close the connection; a later request opens it again."""
        if self._opened is not None:
            self._opened.close()

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
        """As `AuthorisedServer.ask`; `target` begins with a slash, below the server's URL."""
        target = f"{self._path}{target}"
        return self._server.ask(method, target, scope=scope, limit=limit, body=body, headers=headers)

    def fetch(
        self,
        target: str,
        *,
        what: str,
        scope: str,
        limit: int,
        failure: Callable[[Answer], TrustError],
        headers: Mapping[str, str] | None = None,
    ) -> bytes | None:
        """A file, as promised by `MetadataRemote.fetch`: absent is 404, or 410 for a deleted collection, nothing else.

        `what`: how errors call it. `failure`: what any other answer means.
        """
        try:
            answer = self.ask("GET", target, scope=scope, limit=limit, headers=headers)
        except TooLarge as error:
            raise TooLarge(what=f"{what} from {self.name}", limit=error.limit) from error
        if answer.ok:
            return answer.body
        if answer.absent or answer.gone:
            return None
        raise failure(answer)

    @property
    def _server(self) -> AuthorisedServer:
        if self._opened is None:
            from trustcli.http.authenticated import AuthorisedServer

            self._opened = AuthorisedServer(
                self._origin,
                credentials=self._credentials,
                authorities=self._authorities,
                environ=self._environ,
                clock=self._clock,
                timeouts=self._timeouts,
            )
        return self._opened
