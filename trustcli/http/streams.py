"""Exchange requests and answers whose bodies are handed on as they come, over pooled connections, for many threads.

A body has no bound of its own here: who hands it on says how much may come. What is bounded is the head of an answer,
and the time in which nothing comes.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Final

from trustcli.errors import RemoteMisbehaved, RemoteUnreachable
from trustcli.http.answer_head import FinalResponse, closed_while_idle, declared_length
from trustcli.http.dialing import USER_AGENT, Dialer, Dialled, proxy_authorization
from trustcli.http.errors import proxy_refused, transport_failure
from trustcli.http.messages import MAX_ERROR_BODY, Origin
from trustcli.http.network import Network
from trustcli.http.time_budget import BudgetedSocket, ExchangeBudget, TooManyBytes
from trustdata.errors import TooLarge, TrustError

PIECE: Final = 64 * 1024
"""Bytes of one piece of a body."""
_ORIGINS: Final = 64
"""The most places of which connections are kept: a registry may redirect to any number of them."""
_RESENT: Final = frozenset({"GET", "HEAD"})

Fields = Sequence[tuple[str, str]]


class StreamPool:
    """Connections to any number of origins, each used by one exchange at a time. Safe for threads.

    No client certificate of this machine is shown: whoever asks through us must be let in for what they have
    themselves.
    """

    def __init__(self, network: Network, *, idle: int = 32) -> None:
        """Connect to nothing yet. `idle`: connections of one origin that are kept for later exchanges."""
        self._network = network
        self._most_idle = idle
        self._lock = threading.Lock()
        self._places: OrderedDict[Origin, _Place] = OrderedDict()

    def ask(
        self,
        method: str,
        origin: Origin,
        target: str,
        *,
        headers: Fields,
        body: Iterable[bytes] | None = None,
        named_by: Origin | None = None,
    ) -> StreamedAnswer:
        """Send a request and return its answer, of which the head was read. The answer must be finished.

        `headers`: among them `Content-Length` for a body whose length is known; else it is sent in chunks. `named_by`:
        a server elsewhere that has sent us here; nothing is then sent to an address of this machine.

        Raises: RemoteUnreachable, RemoteMisbehaved, SettingsUnusable; what the body raises.
        """
        place = self._place(origin)
        if method in _RESENT and body is None and (connection := self._reused(place)):
            # Any kept connection may be closed under a request: then once more, over one of its own.
            with contextlib.suppress(_ClosedMeanwhile):
                return connection.exchange(method, target, headers, None, named_by)
        connection = _Connection(self, place, self._network)
        try:
            return connection.exchange(method, target, headers, body, named_by)
        except _ClosedMeanwhile as closed:
            raise closed.failure from closed

    def close(self) -> None:
        """Close the connections that are not in use."""
        with self._lock:
            places, self._places = list(self._places.values()), OrderedDict()
        for place in places:
            place.close()

    def keep(self, connection: _Connection) -> None:
        """Take a connection back whose exchange is over."""
        with self._lock:
            idle = connection.place.idle
            kept = len(idle) < self._most_idle and self._places.get(connection.place.dialer.origin) is connection.place
            if kept:
                idle.append(connection)
        if not kept:
            connection.close()

    def _place(self, origin: Origin) -> _Place:
        old = None
        with self._lock:
            place = self._places.get(origin)
            if place is None:
                dialer = Dialer(origin, self._network, show_certificate=False)
                place = self._places[origin] = _Place(dialer)
                if len(self._places) > _ORIGINS:
                    _, old = self._places.popitem(last=False)
            self._places.move_to_end(origin)
        if old is not None:
            old.close()
        return place

    def _reused(self, place: _Place) -> _Connection | None:
        while True:
            with self._lock:
                connection = place.idle.pop() if place.idle else None
            if connection is None or not connection.closed_while_idle:
                return connection
            connection.close()


class _Place:
    """An origin, and the connections to it that nobody uses now."""

    def __init__(self, dialer: Dialer) -> None:
        self.dialer = dialer
        self.idle: deque[_Connection] = deque()

    def close(self) -> None:
        while self.idle:
            self.idle.pop().close()


class _ClosedMeanwhile(Exception):
    """The server closed a connection before it answered. `failure`: what that is called if it happens again."""

    def __init__(self, failure: TrustError) -> None:
        super().__init__(str(failure))
        self.failure = failure


class _Connection:
    """One connection, opened with its first exchange."""

    def __init__(self, pool: StreamPool, place: _Place, network: Network) -> None:
        self.place = place
        self.budget = ExchangeBudget(network.clock, step=network.timeouts.read)
        self._pool = pool
        self._network = network
        self._dialled: Dialled | None = None
        self._http: HTTPConnection | None = None
        self._answered = False

    @property
    def closed_while_idle(self) -> bool:
        """Whether the server has closed it, or sent what nobody asked for."""
        return self._dialled is None or closed_while_idle(self._dialled.sock)

    @property
    def plain_descriptor(self) -> int | None:
        """The socket's descriptor, if bytes come over it as they are."""
        if self._dialled is None or self.place.dialer.origin.scheme != "http":
            return None
        return self._dialled.sock.fileno()

    def exchange(
        self, method: str, target: str, headers: Fields, body: Iterable[bytes] | None, named_by: Origin | None
    ) -> StreamedAnswer:
        """Send a request and read the head of its answer. Raises: as `StreamPool.ask`, and _ClosedMeanwhile."""
        origin, proxy = self.place.dialer.origin, self.place.dialer.proxy
        self.budget.start(self._network.timeouts.overall, limit=MAX_ERROR_BODY)
        try:
            http = self._open(named_by)
            self._send(http, method, target, headers, body)
            response = http.getresponse()
            self._answered = True
            length = declared_length(response, origin)
        except (ConnectionResetError, BrokenPipeError) as error:  # http.client.RemoteDisconnected is one of them
            self.close()
            raise _ClosedMeanwhile(self.failure(error)) from error
        except (OSError, HTTPException, TooManyBytes) as error:
            self.close()
            raise self.failure(error) from error
        except BaseException:
            self.close()
            raise
        if proxy is not None and response.status == 407:
            self.close()
            raise proxy_refused(origin, proxy, response.status)
        here = self._dialled is not None and self._dialled.from_here
        return StreamedAnswer(self, response, origin=origin, length=length, from_here=here)

    def failure(self, error: Exception) -> TrustError:
        """Return the error to raise for one of sockets, TLS and http.client."""
        origin = self.place.dialer.origin
        if isinstance(error, TooManyBytes):
            return TooLarge(what=f"an answer of {origin}", limit=MAX_ERROR_BODY)
        if isinstance(error, TimeoutError):
            error = self.budget.reason_for(error)
        return transport_failure(error, origin, self._network, self.place.dialer.proxy, secured=False)

    def next_piece(self, size: int) -> None:
        """Allow so many bytes, and the time that they may take altogether; one read takes less."""
        self.budget.start(self._network.timeouts.overall, limit=size)

    @property
    def stall(self) -> float:
        """Seconds that a read may take."""
        return self._network.timeouts.read

    def finish(self, *, whole: bool) -> None:
        """Give the connection back; close it if the answer was not read to its end."""
        if whole and self._http is not None and self._http.sock is not None:
            self._pool.keep(self)
        else:
            self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._http is not None:
            self._http.close()
            self._http = None
        if self._dialled is not None:
            self._dialled.sock.close()
            self._dialled = None

    def _open(self, named_by: Origin | None) -> HTTPConnection:
        if self._http is not None and self._dialled is not None:
            self._dialled.check_address(self.place.dialer.origin, named_by)
            return self._http
        origin = self.place.dialer.origin
        http = HTTPConnection(origin.host, origin.port)
        http.response_class = FinalResponse
        http.auto_open = 0  # an unguarded connection must not be opened behind our back
        self._dialled = self.place.dialer.dial(self._network.timeouts.connect, self.budget, named_by)
        http.sock = BudgetedSocket(self._dialled.sock, self.budget)
        self._http = http
        return http

    def _send(
        self, http: HTTPConnection, method: str, target: str, headers: Fields, body: Iterable[bytes] | None
    ) -> None:
        origin, proxy = self.place.dialer.origin, self.place.dialer.proxy
        through = proxy is not None and origin.scheme == "http"
        http.putrequest(method, f"{origin}{target}" if through else target, skip_host=True, skip_accept_encoding=True)
        own = {"Host": origin.netloc, "User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        if through and proxy is not None:
            own |= proxy_authorization(proxy)
        given = {name.lower() for name, _ in headers}
        for name, value in (*own.items(), *headers):
            http.putheader(name, value)
        if body is None:
            http.endheaders()
            return
        chunked = "content-length" not in given
        if chunked:
            http.putheader("Transfer-Encoding", "chunked")
        # A server that refuses an upload may answer and close before it has read everything.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            http.endheaders(self._timed(body), encode_chunked=chunked)
        self.budget.start(self._network.timeouts.overall, limit=MAX_ERROR_BODY)

    def _timed(self, body: Iterable[bytes]) -> Iterator[bytes]:
        for piece in body:
            self.budget.start(self._network.timeouts.read, limit=MAX_ERROR_BODY)
            yield piece


class StreamedAnswer:
    """An answer whose body is still to be read. `finish` must be called, once, by whoever has it.

    `length`: bytes of the body, as declared; None if only its end will tell. `from_here`: as in `Response`.
    """

    def __init__(
        self, connection: _Connection, response: HTTPResponse, *, origin: Origin, length: int | None, from_here: bool
    ) -> None:
        self.origin = origin
        self.length = length
        self.from_here = from_here
        self.status = response.status
        self.headers: Fields = tuple((name.lower(), value) for name, value in response.getheaders())
        self._connection = connection
        self._response = response
        self._finished = False
        if response.length == 0:
            response.close()

    def every(self, name: str) -> list[str]:
        """Return all values of a header (`name` in lower case), in order."""
        return [value for key, value in self.headers if key == name]

    def first(self, name: str) -> str:
        """Return the first value of a header (`name` in lower case), or an empty string."""
        return next(iter(self.every(name)), "")

    def read(self, limit: int) -> bytes:
        """Return the whole body, and finish. Raises: RemoteUnreachable, RemoteMisbehaved, TooLarge."""
        try:
            if self.length is not None and self.length > limit:
                raise TooLarge(what=f"an answer of {self.origin}", limit=limit)
            found = bytearray()
            for piece in self.pieces():
                found += piece
                if len(found) > limit:
                    raise TooLarge(what=f"an answer of {self.origin}", limit=limit)
            return bytes(found)
        finally:
            self.finish()

    def pieces(self) -> Iterator[bytes]:
        """Yield the body in pieces of at most 64 KiB. Raises: RemoteUnreachable, RemoteMisbehaved."""
        buffer = memoryview(bytearray(PIECE))
        while count := self.read_into(buffer):
            yield bytes(buffer[:count])

    def read_into(self, buffer: memoryview) -> int:
        """Fill a buffer with the next bytes of the body, and return how many there are; 0 at its end.

        Raises: RemoteUnreachable, RemoteMisbehaved.
        """
        if self._response.isclosed():
            return 0
        self._connection.next_piece(len(buffer))
        try:
            count = self._response.readinto(buffer)
        except (OSError, HTTPException, TooManyBytes, ValueError) as error:
            raise self._failure(error) from error
        if not count and self._left:
            raise self._cut_off()
        return count

    def received(self) -> bytes:
        """Return what is here of the body before the socket is read by its descriptor; it is taken out of the body.

        Raises: RemoteUnreachable, RemoteMisbehaved.
        """
        if self._response.isclosed():
            return b""
        self._connection.next_piece(PIECE)
        try:
            # It reads once if nothing is here: the first bytes of the body, without which nothing can be done anyway.
            count = min(len(self._response.fp.peek(0)), self._left or 0)
            return self._response.read(count) if count else b""
        except (OSError, HTTPException, TooManyBytes) as error:
            raise self._failure(error) from error

    def descriptor(self) -> int | None:
        """Return the socket from which the rest of the body comes as it is; None if it comes in another form."""
        if self.length is None or self._response.chunked or self._response.will_close:
            return None
        return self._connection.plain_descriptor

    @property
    def stall(self) -> float:
        """Seconds in which something must come."""
        return self._connection.stall

    def moved(self, count: int) -> None:
        """Say that so many bytes were taken from the descriptor."""
        self._response.length = (self._left or 0) - count
        if not self._response.length:
            self._response.close()

    def finish(self) -> None:
        """Give the connection back, or close it if the body was not read to its end. Repeating it changes nothing."""
        if self._finished:
            return
        self._finished = True
        whole = self._response.isclosed() and not self._response.will_close
        self._response.close()
        self._connection.finish(whole=whole)

    @property
    def _left(self) -> int | None:
        """Bytes of the body that are still to come, if that is known."""
        return self._response.length

    def _failure(self, error: Exception) -> TrustError:
        if isinstance(error, ValueError):  # http.client takes a chunk size such as -2
            return RemoteMisbehaved(remote=str(self.origin), reason="a chunk of its answer has no valid size")
        failure = self._connection.failure(error)
        return failure if isinstance(failure, RemoteUnreachable | RemoteMisbehaved) else self._cut_off()

    def _cut_off(self) -> RemoteMisbehaved:
        return RemoteMisbehaved(remote=str(self.origin), reason="its answer is cut off")
