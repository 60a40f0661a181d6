"""Record what was asked and what came of it, so that `trust doctor` can report it without asking a second time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trustcli.config.credential import Credential
    from trustcli.http.challenges import Challenge
    from trustcli.http.messages import Origin, Response
    from trustcli.http.proxies import Proxy
    from trustdata.errors import TrustError


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and its result, `response` or `failure`.

    `proxy`: through which it went, if any. `certificate`: the server's, verified (DER); None over plain http and if no
    connection was made.
    """

    origin: Origin
    target: str
    proxy: Proxy | None = None
    certificate: bytes | None = field(default=None, repr=False)
    response: Response | None = None
    failure: TrustError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """One challenge and what it was met with: `credential` (None: anonymously) for `scope`.

    `authorization`: the value of the header with which the request was repeated; empty if there is a `failure`.
    `unreadable`: the failure is that the stored credential could not be read. `stored_under`: the name under which it
    was looked for.
    """

    server: Origin
    stored_under: str
    challenges: tuple[Challenge, ...]
    scope: str
    credential: Credential | None = None
    unreadable: bool = False
    authorization: str = field(default="", repr=False)
    failure: TrustError | None = None


class Observer(Protocol):
    """Somebody who is told of every exchange and challenge, in order. Its methods change nothing and raise nothing."""

    def exchanged(self, exchange: Exchange) -> None:
        """Take note that a request was answered or failed."""

    def authenticated(self, authentication: Authentication) -> None:
        """Take note that a challenge was met or could not be met."""


class Record:
    """An observer that keeps everything in lists."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.authentications: list[Authentication] = []

    def exchanged(self, exchange: Exchange) -> None:
        """Keep the exchange."""
        self.exchanges.append(exchange)

    def authenticated(self, authentication: Authentication) -> None:
        """Keep the authentication."""
        self.authentications.append(authentication)
