"""Keep one connection open for each origin."""

from __future__ import annotations

from collections.abc import Mapping

from trustcli.http.connection import HttpConnection
from trustcli.http.messages import Origin, Response
from trustcli.http.network import Network


class ConnectionPool:
    """The transport of this program: one connection for each origin that was asked. Not for threads."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._connections: dict[Origin, HttpConnection] = {}

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
        """Send one request and return its whole answer, as `JudgingTransport` promises."""
        connection = self._connections.get(origin)
        if connection is None:
            connection = self._connections[origin] = HttpConnection(origin, self._network)
        return connection.exchange(method, target, headers=headers, limit=limit, body=body, named_by=named_by)

    def close(self) -> None:
        """Close every connection; a later exchange opens its connection again."""
        for connection in self._connections.values():
            connection.close()
