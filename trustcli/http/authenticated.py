"""Send requests to one server: meet its challenges with credentials, and follow its redirects.

Both are bounded in number. A credential is sent to the origin that challenged and to its token server (`token_auth`),
and nowhere else: a redirect to another origin is followed without it, and a challenge there is not met.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trustcli.http.messages import JudgingTransport, Origin, Response
from trustcli.http.redirects import follow

if TYPE_CHECKING:
    from trustcli.http.record import Observer
    from trustcli.http.token_auth import ChallengeResponder, CredentialSource


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRules:
    """The rules that differ between kinds of servers.

    `redirects_elsewhere`: whether redirects may lead to other origins (`redirects` has the rest of the rule).
    `stored_under`: the server's name in Docker's configuration, if it is not its host and port.
    """

    redirects_elsewhere: bool
    stored_under: str = ""


class AuthenticatedClient:
    """A client of one server that remembers what its challenges were met with. Not for threads."""

    def __init__(
        self,
        origin: Origin,
        transport: JudgingTransport,
        credentials: CredentialSource,
        rules: ServerRules,
        *,
        observer: Observer | None = None,
    ) -> None:
        self.origin = origin
        self.answered = False
        """Whether this origin has sent any answer, even a refusal."""
        self._transport = transport
        self._credentials = credentials
        self._rules = rules
        self._observer = observer
        self._named_places = _NamedPlaces(transport, origin)
        self._authorizer: ChallengeResponder | None = None
        self._authorization: dict[str, str] = {}

    @property
    def tried(self) -> str:
        """With which credentials the last challenge was met, for messages."""
        return self._authorizer.tried if self._authorizer else "without credentials"

    def ask(
        self,
        method: str,
        target: str,
        *,
        scope: str,
        limit: int,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request, once more with credentials if need be, follow MAX_REDIRECTS redirects, and return the answer.

        Raises: as `Transport.exchange`, and RemoteRefused if a challenge cannot be met.
        """
        challenged = False
        redirects = 0
        place = self.origin
        named_by: Origin | None = None
        while True:
            every = dict(headers or {})
            if place == self.origin and scope in self._authorization:
                every["Authorization"] = self._authorization[scope]
            response = self._transport.exchange(
                method, place, target, headers=every, limit=limit, body=body, named_by=named_by
            )
            self.answered = True
            if response.challenges and place == self.origin and not challenged:
                challenged = True
                self._authorization[scope] = self._authorize(response, scope)
            elif response.redirects:
                redirects += 1
                sender = place
                place, target = follow(
                    method,
                    place,
                    target,
                    response,
                    count=redirects,
                    within=None if self._rules.redirects_elsewhere else self.origin,
                )
                if place != sender:
                    named_by = None if response.from_here else sender
            else:
                return response

    def _authorize(self, response: Response, scope: str) -> str:
        from trustcli.http.token_auth import ChallengeResponder  # only when challenged: start-up time

        if self._authorizer is None:
            self._authorizer = ChallengeResponder(
                self.origin,
                self._credentials,
                self._named_places,
                stored_under=self._rules.stored_under,
                observer=self._observer,
            )
        self._named_places.server_is_here = response.from_here
        return self._authorizer.authorization(response, scope=scope)


class _NamedPlaces:
    """The `Transport` to the places that a server has named: its token server.

    `server_is_here`: whether the answer that named the place came from this machine. A name may move between two
    answers.
    """

    def __init__(self, transport: JudgingTransport, server: Origin) -> None:
        self._transport = transport
        self._server = server
        self.server_is_here = False

    def exchange(
        self,
        method: str,
        origin: Origin,
        target: str,
        *,
        headers: Mapping[str, str],
        limit: int,
        body: bytes | None = None,
    ) -> Response:
        named_by = None if self.server_is_here or origin == self._server else self._server
        return self._transport.exchange(
            method, origin, target, headers=headers, limit=limit, body=body, named_by=named_by
        )
