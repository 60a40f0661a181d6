"""Keep one connection open for each origin, or for each thread and origin."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from trustcli.http.connection import HttpConnection
from trustcli.http.messages import Origin, Response
from trustcli.http.network import Network
from trustcli.http.patience import may_be_sent_again


class ConnectionPool:
    """The transport of this program: one connection for each origin that was asked. Not for threads.

    `most`: how many connections are kept, for a process that goes on; None keeps all. The oldest is closed first.
    """

    def __init__(self, network: Network, *, most: int | None = None) -> None:
        self._network = network
        self._most = most
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
            if self._most is not None and len(self._connections) >= self._most:
                self._connections.pop(next(iter(self._connections))).close()
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


def pool_of(network: Network, kept_connections: int | None) -> ConnectionPool | PoolPerThread:
    """Return the pool of one thread, or, if it is said how many connections each keeps, of several."""
    return ConnectionPool(network) if kept_connections is None else PoolPerThread(network, most=kept_connections)


class PoolPerThread:
    """The same transport for a process with several threads: each has connections of its own, `most` at a time."""

    def __init__(self, network: Network, *, most: int) -> None:
        self._network = network
        self._most = most
        self._own = threading.local()
        self._lock = threading.Lock()
        self._idle: set[ConnectionPool] = set()
        self._closed = False

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
        """As `ConnectionPool.exchange`, on a connection of this thread."""
        pool = self._taken()
        try:
            return pool.exchange(method, origin, target, headers=headers, limit=limit, body=body, named_by=named_by)
        finally:
            self._put_back(pool)

    def close(self) -> None:
        """Close every connection: at once those that are idle, each of the others after its exchange."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, set()
        for pool in idle:
            pool.close()

    def _taken(self) -> ConnectionPool:
        pool: ConnectionPool | None = getattr(self._own, "pool", None)
        if pool is None:
            pool = self._own.pool = ConnectionPool(self._network, most=self._most)
        with self._lock:
            self._idle.discard(pool)
        return pool

    def _put_back(self, pool: ConnectionPool) -> None:
        with self._lock:
            closed = self._closed
            if not closed:
                self._idle.add(pool)
        if closed:
            pool.close()
