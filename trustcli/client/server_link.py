"""The way to one trust server: the path in its URL, and what it means that a file is not there.

What its answers mean is for the remotes to say (`tuf_remote`, `notary_remote`); how they come about stands in
`trustcli.http`, which is imported at the first request: `--offline` needs none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from trustcli.errors import RemoteMisbehaved, RemoteRefused
from trustcli.http.messages import Origin, Response, parse_url
from trustcli.http.network import Network
from trustdata.errors import InvalidName, TooLarge, TrustError

if TYPE_CHECKING:
    from datetime import datetime

    from trustcli.http.authenticated import AuthenticatedClient
    from trustcli.http.messages import JudgingTransport
    from trustcli.http.pool import ConnectionPool
    from trustcli.http.token_auth import CredentialSource


_OPENINGS: Final = (b"{", b"[")
"""How nearly all files begin; others are looked at."""


def _parts(server: str) -> tuple[Origin, str]:
    """Return where a server is, and the path that goes before every request's. Raises: InvalidName."""
    origin, path = parse_url(server, kind="trust server")
    if "?" in path or "#" in server:
        raise InvalidName(kind="trust server", name=server, reason="must not have a query or fragment")
    return origin, path.rstrip("/")


class ServerLink:
    """One trust server. Not for threads."""

    def __init__(
        self,
        server: str,
        network: Network,
        credentials: CredentialSource,
        *,
        shared_pool: Callable[[], JudgingTransport] | None = None,
        source: str = "",
    ) -> None:
        """Connect to nothing yet.

        `server`: URL; a path in it goes before every request's. `shared_pool`: returns the connections that all links
        of one run share, which this one does not close. `source`: what gave the URL, for messages. Raises: InvalidName.
        """
        try:
            self._origin, self._path = _parts(server)
        except InvalidName as error:
            error.reason += f" (it was given by {source})" if source else ""
            raise
        self._network = network
        self._credentials = credentials
        self._shared_pool = shared_pool
        self._pool: ConnectionPool | None = None
        self._client: AuthenticatedClient | None = None
        self._date = ""
        self._absence: Response | None = None

    @property
    def name(self) -> str:
        """Its whole address, for messages."""
        return f"{self._origin}{self._path}"

    @property
    def origin(self) -> Origin:
        """Where it is asked, whatever the path."""
        return self._origin

    @property
    def may_carry_secrets(self) -> bool:
        """Whether what is sent is encrypted, or does not leave this machine."""
        return self._origin.may_carry_credentials

    @property
    def tried(self) -> str:
        """With which credentials the last challenge was met, for messages."""
        return self._opened().tried

    def close(self) -> None:
        """Close the connections that are not shared; a later request opens its own again."""
        if self._pool is not None:
            self._pool.close()

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
        """As `AuthenticatedClient.ask`; `target` begins with a slash, below the server's URL."""
        target = f"{self._path}{target}"
        response = self._opened().ask(method, target, scope=scope, limit=limit, body=body, headers=headers)
        self._date = response.first("date")
        return response

    def log_in(self, target: str, *, scope: str, limit: int) -> bool:
        """As `AuthenticatedClient.log_in`; `target` as in `ask`."""
        return self._opened().log_in(f"{self._path}{target}", scope=scope, limit=limit)

    @property
    def told_time(self) -> datetime | None:
        """What time it was by the server at its last answer, for messages; None if it did not say."""
        from trustcli.http.server_time import told_time  # only when something has failed: start-up time

        return told_time(self._date) if self._date else None

    @property
    def doubtful_absence(self) -> RemoteRefused | None:
        """The refusal to be told if the latest absent file was not absent by the word of a trust server, or None."""
        if self._absence is None:
            return None
        from trustcli.client.problem_details import doubtful_absence  # only when something has failed: start-up time

        return doubtful_absence(self._absence, remote=self.name)

    def fetch(
        self,
        target: str,
        *,
        what: str,
        scope: str,
        limit: int,
        failure: Callable[[Response], TrustError],
        headers: Mapping[str, str] | None = None,
    ) -> bytes | None:
        """Fetch a file; return None if the server says that it is absent: 404, or 410 for a deleted collection.

        `what`: how errors call the file. `failure`: makes the error for any other response. A page for people in place
        of the file is no file of the collection that could be malformed.

        Raises: RemoteMisbehaved (such a page, among others), TooLarge, RemoteUnreachable, RemoteRefused, and what
        `failure` makes.
        """
        try:
            response = self.ask("GET", target, scope=scope, limit=limit, headers=headers)
        except TooLarge as error:
            raise TooLarge(what=f"{what} from {self.name}", limit=error.limit) from error
        if response.ok:
            if response.body[:1] not in _OPENINGS and (reason := _no_document(response, what, self.name)):
                raise RemoteMisbehaved(remote=self.name, reason=reason)
            return response.body
        if response.absent or response.gone:
            self._absence = response
            return None
        raise failure(response)

    def _opened(self) -> AuthenticatedClient:
        if self._client is None:
            from trustcli.http.authenticated import AuthenticatedClient, ServerRules
            from trustcli.http.pool import ConnectionPool

            pool: JudgingTransport
            if self._shared_pool is None:
                pool = self._pool = ConnectionPool(self._network)
            else:
                pool = self._shared_pool()
            rules = ServerRules(is_registry=False)
            self._client = AuthenticatedClient(
                self._origin, pool, self._credentials, rules, observer=self._network.observer
            )
        return self._client


class LinkedRemote:
    """One trust server in any format, over one `ServerLink`: so for one thread."""

    def __init__(self, link: ServerLink) -> None:
        self._link = link

    @property
    def name(self) -> str:
        """Scheme, host and port for messages."""
        return self._link.name

    @property
    def told_time(self) -> datetime | None:
        """What time it was by the server at its last answer, for messages; None if it did not say."""
        return self._link.told_time

    @property
    def doubtful_absence(self) -> RemoteRefused | None:
        """The refusal to be told if the latest absent file was not absent by the word of a trust server, or None."""
        return self._link.doubtful_absence

    def close(self) -> None:
        """Close the connection; a later request opens it again."""
        self._link.close()


def page_instead(response: Response, *, what: str, remote: str) -> RemoteMisbehaved | None:
    """Return the error for a page for people in place of a document; None if the response is none."""
    reason = _no_document(response, what, remote) if response.body[:1] not in _OPENINGS else ""
    return RemoteMisbehaved(remote=remote, reason=reason) if reason else None


def _no_document(response: Response, what: str, remote: str) -> str:
    from trustcli.http.refusals import no_document  # hardly ever: start-up time

    return no_document(response, what=what, remote=remote) if response.body.strip() else ""
