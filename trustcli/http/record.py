"""What was asked and what came of it, told by the code that did it: `trust doctor` finds nothing out a second time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trustcli.config.docker_config import Credential
    from trustcli.http.messages import Origin, Response
    from trustcli.http.proxies import Proxy
    from trustcli.http.token_auth import Challenge
    from trustdata.errors import TrustError


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request: `response` or `failure`. `proxy`: what is between, if anything. `certificate`: the server's (DER),
    which was verified; None over plain http and where no connection came about.
    """

    origin: Origin
    target: str
    proxy: Proxy | None = None
    certificate: bytes | None = field(default=None, repr=False)
    response: Response | None = None
    failure: TrustError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """One challenge and how it was met: with `credential` (None: as anybody) for `scope`.

    `authorization`: the value of the header with which the request was repeated; empty if there is a `failure`.
    `unreadable`: the failure is that what is stored here could not be read.
    """

    server: Origin
    challenges: tuple[Challenge, ...]
    scope: str
    credential: Credential | None = None
    unreadable: bool = False
    authorization: str = field(default="", repr=False)
    failure: TrustError | None = None


class Observer(Protocol):
    """Told of everything in the order in which it happened. It changes nothing and raises nothing."""

    def exchanged(self, exchange: Exchange) -> None:
        """A request was answered, or failed."""

    def authenticated(self, authentication: Authentication) -> None:
        """A challenge was met, or could not be."""


class Record:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.authentications: list[Authentication] = []

    def exchanged(self, exchange: Exchange) -> None:
        """As promised by `Observer`."""
        self.exchanges.append(exchange)

    def authenticated(self, authentication: Authentication) -> None:
        """As promised by `Observer`."""
        self.authentications.append(authentication)
