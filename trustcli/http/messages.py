"""Define requests' destinations and answers, without any network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlsplit

from keys.record import record
from trustcli.http.proxies import is_loopback
from trustdata.errors import InvalidName

MAX_ERROR_BODY = 64 * 1024
"""The most bytes that are read of an answer that is no success."""

_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@record
class Origin:
    """Scheme, host (no brackets, lower-case) and port: what credentials belong to. `str()` is a URL without a path."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"

    @property
    def netloc(self) -> str:
        """Host and port as in a URL: brackets around IPv6, the scheme's default port left out."""
        return self.bracketed if self.port == _DEFAULT_PORTS[self.scheme] else self.host_port

    @property
    def host_port(self) -> str:
        """Host and port, always both: the name of Docker's certificate folders."""
        return f"{self.bracketed}:{self.port}"

    @property
    def bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host)

    @property
    def may_carry_credentials(self) -> bool:
        """Whether secrets may be sent there: over TLS, or without leaving this machine."""
        return self.scheme == "https" or self.is_loopback


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A whole answer. `headers` in the order received; `body` is decoded and within the limit asked for.

    `from_here`: whether it came from an address of this machine; False if nobody can tell, as through a proxy.
    """

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes = field(repr=False)
    from_here: bool = False

    @property
    def ok(self) -> bool:
        """Whether the status is 200; other successes mean nothing in the protocols spoken here."""
        return self.status == HTTPStatus.OK

    @property
    def absent(self) -> bool:
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def gone(self) -> bool:
        return self.status == HTTPStatus.GONE

    @property
    def challenges(self) -> bool:
        """Whether the status is 401: with other credentials it may work."""
        return self.status == HTTPStatus.UNAUTHORIZED

    @property
    def forbids(self) -> bool:
        return self.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}

    @property
    def redirects(self) -> bool:
        return self.status in _REDIRECTS

    @property
    def server_fails(self) -> bool:
        """Whether the status is 5xx or 429: the same request may succeed later."""
        return self.status >= HTTPStatus.INTERNAL_SERVER_ERROR or self.status == HTTPStatus.TOO_MANY_REQUESTS

    @property
    def busy(self) -> bool:
        """Whether the server wants the request again later (RFC 6585, 4; RFC 9110, 15.6.4). Waiting: `patience`."""
        return self.status in _BUSY

    @property
    def refuses(self) -> bool:
        """Whether the status is another 4xx: the request itself is at fault."""
        return HTTPStatus.BAD_REQUEST <= self.status < HTTPStatus.INTERNAL_SERVER_ERROR and not self.server_fails

    def every(self, name: str) -> list[str]:
        """Return all values of a header (`name` in lower case), in order."""
        return [value for key, value in self.headers if key.lower() == name]

    def first(self, name: str) -> str:
        """Return the first value of a header (`name` in lower case), or an empty string."""
        return next(iter(self.every(name)), "")


class Transport(Protocol):
    """Sends requests and returns answers: `pool.ConnectionPool`, or what a test puts in its place."""

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
        """Send one request and return its whole answer; redirects and challenges are returned like other answers.

        `limit`: bytes of a success's body; of other answers the first MAX_ERROR_BODY are kept. A GET is repeated at
        most once, where a connection that was kept open was closed under it; nothing else is.

        Raises: RemoteUnreachable, RemoteMisbehaved, TooLarge, SettingsUnusable.
        """


class JudgingTransport(Protocol):
    """A `Transport` that is told who has named a place."""

    def exchange(
        self,
        method: str,
        origin: Origin,
        target: str,
        *,
        headers: Mapping[str, str],
        limit: int,
        body: bytes | None = None,
        named_by: Origin | None = None,
    ) -> Response:
        """Send one request and return its whole answer, as `Transport` promises.

        `named_by`: a server elsewhere that has sent us to `origin`: nothing is then sent to an address of this machine
        (RemoteMisbehaved, of that server). None: the user has named it, or a server on this machine.
        """


def is_success(status: int) -> bool:
    """Return whether the status is 2xx."""
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def parse_url(url: str, *, kind: str) -> tuple[Origin, str]:
    """Split an http(s) URL into origin and path with query. Raises: InvalidName, also for user names in URLs."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidName(kind=kind, name=_without_secrets(url), reason="is no URL") from error
    if parts.scheme not in _DEFAULT_PORTS or not host:
        raise InvalidName(
            kind=kind, name=_without_secrets(url), reason="must be an http:// or https:// URL with a host"
        )
    if parts.username is not None or parts.password is not None:
        raise InvalidName(kind=kind, name=_without_secrets(url), reason="must not hold a user name or password")
    if not url.isascii() or any(c <= " " or c == "\x7f" for c in url):
        raise InvalidName(kind=kind, name=_without_secrets(url), reason="holds characters that no URL may hold")
    origin = Origin(scheme=parts.scheme, host=host, port=port if port is not None else _DEFAULT_PORTS[parts.scheme])
    return origin, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _without_secrets(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    login, at, place = rest.rpartition("@")
    return scheme + separator + ("..." if login else "") + at + place
