"""Keep one connection open for each origin."""

from __future__ import annotations

from collections.abc import Mapping

from trustcli.http.connection import HttpConnection
from trustcli.http.messages import Origin, Response
from trustcli.http.network import Network
from trustcli.http.patience import may_be_sent_again


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
        """Send one request and return its whole answer, as `JudgingTransport` promises; of a busy server its last."""
        connection = self._connections.get(origin)
        if connection is None:
            connection = self._connections[origin] = HttpConnection(origin, self._network)
        sent = 0
        while True:
            response = connection.exchange(method, target, headers=headers, limit=limit, body=body, named_by=named_by)
            sent += 1
            if not (response.busy and self._waits(response, origin, headers, body, sent=sent)):
                return response

    def _waits(
        self, response: Response, origin: Origin, headers: Mapping[str, str], body: bytes | None, *, sent: int
    ) -> bool:
        if self._network.patience is None:
            return False
        return may_be_sent_again(headers, body) and self._network.patience.waits(response, origin, sent=sent)

    def close(self) -> None:
        """Close every connection; a later exchange opens its connection again."""
        for connection in self._connections.values():
            connection.close()
