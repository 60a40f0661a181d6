"""Send requests to one origin over one connection that is kept open, with http.client alone.

Bounds: bytes of body (decoded), bytes and time of the whole exchange, number and length of headers (http.client's own:
100, each 64 KiB). They hold for a proxy's answer to CONNECT too.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse

from trustcli.errors import RemoteMisbehaved
from trustcli.http.answer_head import FinalResponse, closed_while_idle, declared_length
from trustcli.http.dialing import USER_AGENT, Dialer, Dialled, proxy_authorization
from trustcli.http.errors import proxy_refused, transport_failure
from trustcli.http.messages import MAX_ERROR_BODY, Origin, Response, is_success
from trustcli.http.network import Network
from trustcli.http.proxies import Proxy
from trustcli.http.time_budget import BudgetedSocket, ExchangeBudget, TooManyBytes
from trustdata.errors import (
    TooLarge,
    TrustError,
)

_log = logging.getLogger(__name__)

Dial = Callable[[float], socket.socket]
"""A function that opens a connected socket within this many seconds. Raises: OSError."""
EachLine = Callable[[bytes], None]


class HttpConnection:
    """A connection that the first exchange opens, and a later one opens again if the server closed it meanwhile.

    A request that may have been received is never sent twice, unless it is a GET. Not for threads.
    """

    def __init__(self, origin: Origin, network: Network, *, dial: Dial | None = None) -> None:
        """Connect to nothing yet. `dial`: what opens the socket, if not TCP. Raises: SettingsUnusable (for a proxy)."""
        self.origin = origin
        self._network = network
        self._timeouts = network.timeouts
        self._budget = ExchangeBudget(network.clock, step=network.timeouts.read)
        seconds = self._timeouts.connect
        self._proxy: Proxy | None = None
        self._dial: Callable[[], Dialled]
        if dial is None:
            dialer = Dialer(origin, network)
            self._proxy = dialer.proxy
            self._dial = lambda: dialer.dial(seconds, self._budget, self._named_by)
        else:
            self._dial = lambda: Dialled(sock=dial(seconds))
        self._dialled: Dialled | None = None
        """How the connection was opened, if it is."""
        self._answered = False
        """Whether an answer has come over the open connection."""
        self._connection: HTTPConnection | None = None
        self._named_by: Origin | None = None

    @property
    def _certificate(self) -> bytes | None:
        """The server's certificate (DER), if its handshake is done."""
        return self._dialled.certificate if self._dialled else None

    def close(self) -> None:
        """Close the connection; the next exchange opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def exchange(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str],
        limit: int,
        body: bytes | None = None,
        each_line: EachLine | None = None,
        named_by: Origin | None = None,
    ) -> Response:
        """Send one request and read its whole answer.

        `named_by`: a server elsewhere that has sent us here; nothing is then sent to an address of this machine.
        `limit`: bytes of a success's body; of other answers the first 64 KiB are kept. With `each_line` a success has
        no end of its own: every line is handed over as it comes, `limit` and the time are those of one line, and the
        body is empty.

        Raises: RemoteUnreachable, RemoteMisbehaved, TooLarge, SettingsUnusable. Redirects are answers like others.
        """
        self._named_by = named_by
        try:
            response = self._exchange(method, target, headers, limit=limit, body=body, each_line=each_line)
        except TrustError as failure:
            _log.debug("%s %s%s: %s", method, self.origin, _without_query(target), failure)
            self._tell(target, failure=failure)
            raise
        size, place = len(response.body), _without_query(target)
        _log.debug("%s %s%s: status %d, %d bytes", method, self.origin, place, response.status, size)
        self._tell(target, response=response)
        return response

    def _exchange(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        *,
        limit: int,
        body: bytes | None,
        each_line: EachLine | None,
    ) -> Response:
        self._budget.start(self._timeouts.overall if body is None else self._timeouts.upload, limit=_most(limit))
        try:
            received = self._respond(method, target, headers, body)
            if each_line is not None and is_success(received.status):
                self._read_lines(received, limit, each_line)
                response = self._response(received, b"")
            else:
                response = self._read(received, limit)
        except BaseException as error:
            self.close()
            if isinstance(error, TooManyBytes):
                raise TooLarge(what=f"an answer of {self.origin}", limit=limit) from error
            if isinstance(error, TimeoutError):
                error = self._budget.reason_for(error)
            if isinstance(error, OSError | HTTPException):
                # An upload is cut off for other reasons, too.
                secured = self._certificate is not None and not self._answered and body is None
                raise transport_failure(error, self.origin, self._network, self._proxy, secured=secured) from error
            raise
        if not received.isclosed() or received.will_close:
            self.close()
        if self._proxy is not None and response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            raise proxy_refused(self.origin, self._proxy, response.status)
        return response

    def _tell(self, target: str, *, response: Response | None = None, failure: TrustError | None = None) -> None:
        if self._network.observer is None:
            return
        from trustcli.http.record import Exchange  # only where somebody looks on: start-up time

        self._network.observer.exchanged(
            Exchange(
                origin=self.origin,
                target=target,
                proxy=self._proxy,
                certificate=self._certificate,
                response=response,
                failure=failure,
            )
        )

    # --- sending

    def _respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> HTTPResponse:
        if self._connection is not None and closed_while_idle(self._connection.sock):
            self.close()
        reused = self._connection is not None
        try:
            return self._send(method, target, headers, body)
        except (ConnectionResetError, BrokenPipeError):
            # The server closed while our request was under way. A GET may be sent again; of others nobody knows.
            if not reused or method != "GET":
                raise
        self.close()
        return self._send(method, target, headers, body)

    def _send(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> HTTPResponse:
        connection = self._connection = self._connection or self._open()
        if self._dialled is not None:
            self._dialled.check_address(self.origin, self._named_by)
        every = {"Host": self.origin.netloc, "User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers}
        if self._proxy and self.origin.scheme == "http":
            target = f"{self.origin}{target}"
            every |= proxy_authorization(self._proxy)
        try:
            connection.request(method, target, body=body, headers=every)
        except (BrokenPipeError, ConnectionResetError):
            # A server that refuses an upload may answer and close before it has read everything.
            if body is None:
                raise
        response = connection.getresponse()
        self._answered = True
        return response

    # --- opening

    def _open(self) -> HTTPConnection:
        self._dialled, self._answered = None, False
        connection = HTTPConnection(self.origin.host, self.origin.port)
        connection.response_class = FinalResponse
        connection.auto_open = 0  # an unguarded connection must not be opened behind our back
        self._dialled = self._dial()
        connection.sock = BudgetedSocket(self._dialled.sock, self._budget)
        return connection

    # --- reading

    def _read(self, response: HTTPResponse, limit: int) -> Response:
        success = is_success(response.status)
        bound = limit if success else MAX_ERROR_BODY
        declared = declared_length(response, self.origin)
        if success and declared is not None and declared > bound:
            raise TooLarge(what=f"an answer of {self.origin}", limit=bound)
        try:
            raw = response.read(bound + 1)
        except ValueError as error:  # http.client takes a chunk size such as -2
            raise self._misbehaved("a chunk of its answer has no valid size") from error
        if len(raw) > bound:
            if success:
                raise TooLarge(what=f"an answer of {self.origin}", limit=bound)
            raw = raw[:bound]
        elif declared is not None and len(raw) != declared:
            raise self._misbehaved(f"cut off after {len(raw)} of {declared} bytes")
        return self._response(response, self._decoded(response, raw, bound))

    def _response(self, received: HTTPResponse, body: bytes) -> Response:
        here = self._dialled is not None and self._dialled.from_here
        return Response(status=received.status, headers=tuple(received.getheaders()), body=body, from_here=here)

    def _read_lines(self, response: HTTPResponse, longest: int, each_line: EachLine) -> None:
        while True:
            self._budget.start(self._timeouts.overall, limit=_most(longest))
            try:
                line = response.readline(longest + 1)
            except ValueError as error:
                raise self._misbehaved("a chunk of its answer has no valid size") from error
            if not line:
                return
            if len(line) > longest:
                raise TooLarge(what=f"a line of an answer of {self.origin}", limit=longest)
            each_line(line)

    def _decoded(self, response: HTTPResponse, raw: bytes, bound: int) -> bytes:
        coding = (response.getheader("Content-Encoding") or "identity").strip().lower()
        if coding == "identity":
            return raw
        if coding not in {"gzip", "x-gzip"}:
            raise self._misbehaved(f"Content-Encoding {coding} was not asked for")
        import zlib

        decoder = zlib.decompressobj(wbits=31)
        try:
            plain = decoder.decompress(raw, bound + 1)
        except zlib.error as error:
            raise self._misbehaved("its gzip data is damaged") from error
        if len(plain) > bound:
            raise TooLarge(what=f"an answer of {self.origin}", limit=bound)
        if not decoder.eof or decoder.unused_data:
            raise self._misbehaved("its gzip data is cut off or followed by other data")
        return plain

    def _misbehaved(self, reason: str) -> RemoteMisbehaved:
        return RemoteMisbehaved(remote=str(self.origin), reason=reason)


def _without_query(target: str) -> str:
    """Return a target without its query, which may be a secret: registries redirect to URLs that are signed in it."""
    path, question, _ = target.partition("?")
    return f"{path}?..." if question else path


def _most(limit: int) -> int:
    return max(limit, MAX_ERROR_BODY)
