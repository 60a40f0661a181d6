"""Send requests to one server: meet its challenges with credentials, and follow its redirects.

Both are bounded in number. A credential is sent to the origin that challenged and to its token server (`token_auth`),
and nowhere else. A redirect to another origin is followed without it; what that origin asks for is met with what is
stored for that origin (docs/adr/0062).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from trustcli.config.credential import octets
from trustcli.http.messages import JudgingTransport, Origin, Response
from trustcli.http.redirects import follow

if TYPE_CHECKING:
    from trustcli.http.record import Observer
    from trustcli.http.token_auth import ChallengeResponder, CredentialSource

_LEFT_OUT: Final = b"***"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRules:
    """The rules that differ between kinds of servers.

    `is_registry`: whether it is a registry: then redirects may lead to other origins (`redirects` has the rest of the
    rule), and credentials may be stored for one of its repositories.
    `stored_under`: the server's name in Docker's configuration, if it is not its host and port.
    """

    is_registry: bool
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
        self.last = origin
        """The origin that sent the last answer: another one, where a redirect has led there."""
        self._transport = transport
        self._credentials = credentials
        self._rules = rules
        self._observer = observer
        self._logins: dict[Origin, _Login] = {}

    @property
    def tried(self) -> str:
        """With which credentials the last challenge of the server that answered last was met, for messages."""
        login = self._logins.get(self.last)
        return login.tried if login else "without credentials"

    def is_authorized(self, scope: str) -> bool:
        """Return whether requests for this scope carry what the server's challenge was met with."""
        login = self._logins.get(self.origin)
        return login is not None and scope in login.authorization

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

        Raises: as `Transport.exchange`, RemoteRefused if a challenge cannot be met, RemoteMisbehaved also if the server
        refuses what its own token server has just given.
        """
        challenged: set[Origin] = set()
        redirects = 0
        place = self.origin
        named_by: Origin | None = None
        while True:
            login = self._logins.get(place)
            every = {**(headers or {}), **(login.header(scope) if login else {})}
            response = self._transport.exchange(
                method, place, target, headers=every, limit=limit, body=body, named_by=named_by
            )
            self.answered = True
            self.last = place
            # A registry may name its challenge at /v2/ alone (`log_in`): a 401 without one is an answer like others.
            met = response.every("www-authenticate") or not self._rules.is_registry
            if response.challenges and met and place not in challenged:
                challenged.add(place)
                self._login(place).meet(response, scope)
            elif response.redirects:
                redirects += 1
                sender = place
                place, target = follow(
                    method,
                    place,
                    target,
                    response,
                    count=redirects,
                    within=None if self._rules.is_registry else self.origin,
                )
                if place != sender:
                    named_by = None if response.from_here else sender
            else:
                if login is None:
                    return response
                if place in challenged:
                    login.check_token(response)
                return response if response.ok else login.without_secrets(response)

    def log_in(self, target: str, *, scope: str, limit: int) -> bool:
        """Ask for a target only for its challenge, and meet that for the scope. Return whether there was one.

        An answer that is no 401 may hold one, too: who logs in may get another answer (RFC 9110, 11.6.1).
        Raises: as `ask`.
        """
        response = self._transport.exchange("GET", self.origin, target, headers={}, limit=limit)
        self.last = self.origin
        if not response.challenges and not (response.ok and response.every("www-authenticate")):
            return False
        self._login(self.origin).meet(response, scope)
        return True

    def _login(self, place: Origin) -> _Login:
        if place not in self._logins:
            from trustcli.http.token_auth import ChallengeResponder  # only when challenged: start-up time

            named_places = _NamedPlaces(self._transport, place)
            responder = ChallengeResponder(
                place,
                self._credentials,
                named_places,
                stored_under=self._rules.stored_under if place == self.origin else "",
                is_registry=self._rules.is_registry,
                observer=self._observer,
            )
            self._logins[place] = _Login(responder, named_places)
        return self._logins[place]


class _Login:
    """What the challenges of one origin were met with. `authorization`: values of the header, by scope."""

    def __init__(self, responder: ChallengeResponder, named_places: _NamedPlaces) -> None:
        self.authorization: dict[str, str] = {}
        self._responder = responder
        self._named_places = named_places

    @property
    def tried(self) -> str:
        """With which credentials the last challenge was met, for messages."""
        return self._responder.tried

    def check_token(self, response: Response) -> None:
        """Raise RemoteMisbehaved if a server refuses what its own token server has just given."""
        self._responder.check_token(response)

    def header(self, scope: str) -> dict[str, str]:
        """Return the header to send for a scope; none if it was not challenged yet."""
        return {"Authorization": self.authorization[scope]} if scope in self.authorization else {}

    def without_secrets(self, response: Response) -> Response:
        """Return an answer without what was sent in its body: some servers and proxies repeat a request's headers."""
        body = response.body
        for secret in self._responder.secrets(self.authorization.values()):
            body = body.replace(octets(secret), _LEFT_OUT)
        return replace(response, body=body)

    def meet(self, response: Response, scope: str) -> None:
        """Meet a challenge. Raises: as `ChallengeResponder.authorization`."""
        self._named_places.server_is_here = response.from_here
        self.authorization.pop(scope, None)
        self.authorization[scope] = self._responder.authorization(response, scope=scope)


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
