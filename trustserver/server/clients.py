"""Tell the application which client a request is from.

The HTTP server behind the front sees connections of this process only. So each tunnel gets a name, as the address of
its own end: a Unix socket is bound to a path that exists for a moment (unix(7)). The HTTP server hands the name to the
application, and here it becomes the client's address. A header could not do that: clients write headers, too.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import socket
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from trustserver.errors import BadRequest
from trustserver.process.addresses import check_forwarding, forwarded_address, is_in
from trustserver.process.proxy_certificate import ProxyCertificate
from trustserver.process.tls import CERTIFICATE
from trustserver.responses.tuf import problem, problem_response
from trustserver.settings import LONGEST_SOCKET_PATH, Network


class AsgiApp(Protocol):
    """An ASGI application."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


class NamedConnection(Protocol):
    """A client's connection, of which the application answers requests."""

    @property
    def peer(self) -> tuple[str, int]:
        """Address and port of the client."""

    @property
    def certificate(self) -> bytes | None:
        """The certificate that the client has shown (DER), and whose private key it has; None if it has shown none."""

    def request_begins(self) -> None:
        """Note that the head of a request has arrived whole."""

    def request_ends(self) -> None:
        """Note that a request has been answered, or given up."""


class TunnelNames:
    """Gives names to Unix sockets, and remembers whose they are. `folders`: where a path may be made, best first."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._numbers = itertools.count()
        self._connections: dict[str, NamedConnection] = {}
        self._prefix = ""
        for folder in folders:
            prefix = str(folder / f".trust-{secrets.token_hex(16)}-")
            with socket.socket(socket.AF_UNIX) as trial, contextlib.suppress(OSError):
                _bind(trial, f"{prefix}trial")
                self._prefix = prefix
                break

    def bind(self, unix_socket: socket.socket, connection: NamedConnection) -> str:
        """Give a socket a name. Return it; empty if no path can be made, as on a full disk."""
        name = f"{self._prefix}{next(self._numbers)}"
        if not self._prefix or len(name) > LONGEST_SOCKET_PATH:
            return ""
        try:
            _bind(unix_socket, name)
        except OSError:
            return ""
        self._connections[name] = connection
        return name

    def forget(self, name: str) -> None:
        """Forget a name."""
        self._connections.pop(name, None)

    def connection(self, name: str) -> NamedConnection | None:
        """Return whose name this is."""
        return self._connections.get(name)


def usual_folders(data: Path) -> Sequence[Path]:
    """Return the folders in which a path may be made: one in memory first, since a disk may be full."""
    return Path("/dev/shm"), Path(tempfile.gettempdir()), data.absolute()  # noqa: S108 - no file stays there


def _bind(unix_socket: socket.socket, path: str) -> None:
    unix_socket.bind(path)
    os.unlink(path)  # noqa: PTH108 - pathlib costs as much as the system call


class ClientAddresses:
    """An ASGI application in front of another: it puts the client's address and port into the scope, under `client`.

    Its certificate, if it has shown one, goes there under CERTIFICATE. None stands under `client` for one that is
    not known. `names`: of the tunnels; None if the HTTP server has the clients' connections itself. `trusted`: the
    proxies whose word about the address of their clients is taken. `over_unix`: connections come over a Unix socket,
    each from a proxy: they have no address, and its word is taken.
    """

    def __init__(
        self, app: AsgiApp, names: TunnelNames | None, trusted: Sequence[Network], *, over_unix: bool = False
    ) -> None:
        self._app = app
        self._names = names
        self._trusted = trusted
        self._over_unix = over_unix
        self._asks_proxies = over_unix or bool(trusted)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        found = scope.get("client")
        if self._names is None:
            await self._answer(found, scope, receive, send)
            return
        connection = self._names.connection(found[0]) if found else None
        if connection is None:
            scope["client"] = None
            await self._app(scope, receive, send)
            return
        if connection.certificate is not None:
            scope[CERTIFICATE] = connection.certificate
        connection.request_begins()
        try:
            await self._answer(connection.peer, scope, receive, send)
        finally:
            connection.request_ends()

    async def _answer(self, peer: tuple[str, int] | None, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request of the client that is connected; if that is a proxy, of the client that the proxy names."""
        try:
            scope["client"] = self._client(peer, scope) if self._asks_proxies else peer
        except BadRequest as error:
            await _refuse(send, error)
            return
        await self._app(scope, receive, send)

    def _client(self, peer: tuple[str, int] | None, scope: Any) -> tuple[str, int] | None:
        """Return address and port of the client, None if not known. Raises: BadRequest if its proxy is not clear."""
        if not self._over_unix and (peer is None or not is_in(peer[0], self._trusted)):
            return peer
        check_forwarding(scope["headers"])
        forwarded = forwarded_address(scope["headers"], self._trusted)
        if forwarded is not None:
            return (forwarded, 0)
        return None if self._over_unix else peer


class CertificateOfProxy:
    """An ASGI application in front of another: what the proxy says of its client's certificate takes the place of ours.

    `reader`: of the proxy's header.
    """

    def __init__(self, app: AsgiApp, reader: ProxyCertificate) -> None:
        self._app = app
        self._reader = reader

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            headers, certificate, is_proxy = self._reader.take(scope["headers"], scope.get(CERTIFICATE))
        except BadRequest as error:
            await _refuse(send, error)
            return
        scope["headers"] = headers
        if is_proxy:
            scope.pop(CERTIFICATE, None)  # the proxy's own
        if certificate is not None:
            scope[CERTIFICATE] = certificate
        await self._app(scope, receive, send)


async def _refuse(send: Any, error: BadRequest) -> None:
    answer = problem_response(400, problem(error, status=400, title="Bad request"))
    await send(answer.start)
    await send(answer.body)
