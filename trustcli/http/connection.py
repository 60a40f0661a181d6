"""Send requests to one origin over one connection that is kept open, with http.client alone.

Bounds: bytes of body (decoded), bytes and time of the whole exchange, number and length of headers (http.client's own:
100, each 64 KiB). They hold for a proxy's answer to CONNECT too.
"""

from __future__ import annotations

import logging
import select
import socket
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, parse_headers
from typing import TYPE_CHECKING

from trustcli.errors import RemoteMisbehaved
from trustcli.http.errors import proxy_refused, transport_failure
from trustcli.http.messages import MAX_ERROR_BODY, Origin, Response, is_success
from trustcli.http.network import Network
from trustcli.http.proxies import Proxy, is_loopback, proxy_for
from trustcli.http.time_budget import BudgetedSocket, ExchangeBudget, TooManyBytes
from trustdata.errors import (
    TooLarge,
    TrustError,
)

if TYPE_CHECKING:
    import ssl

_log = logging.getLogger(__name__)
_LENGTH_DIGITS = 18
_USER_AGENT = "content-trust"

Dial = Callable[[float], socket.socket]
"""A function that opens a connected socket within this many seconds. Raises: OSError."""
EachLine = Callable[[bytes], None]


class _FinalResponse(HTTPResponse):
    """An answer without those that only announce it (RFC 9110, 15.2): http.client itself skips 100 and no other.

    How many there may be is bounded by the bytes and the time of the exchange.
    """

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]
        while HTTPStatus.CONTINUE < status < HTTPStatus.OK and status != HTTPStatus.SWITCHING_PROTOCOLS:
            parse_headers(self.fp)
            version, status, reason = super()._read_status()  # type: ignore[misc]
        return version, status, reason


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
        self._dial = dial or self._dial_origin
        self._proxy: Proxy | None = None
        if dial is None:
            self._proxy = proxy_for(origin.scheme, origin.host, origin.port, network.environ)
        self._context: ssl.SSLContext | None = None
        self._certificate: bytes | None = None
        self._answered = False
        """Whether an answer has come over the open connection."""
        self._connection: HTTPConnection | None = None
        self._named_by: Origin | None = None
        self._peer = self._own = ""
        """The addresses of the two ends of a direct connection; empty through a proxy."""

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
        if self._connection is not None and _closed_while_idle(self._connection):
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
        self._check_address(self._peer)
        every = {"Host": self.origin.netloc, "User-Agent": _USER_AGENT, "Accept-Encoding": "identity", **headers}
        if self._proxy and self.origin.scheme == "http":
            target = f"{self.origin}{target}"
            every |= _proxy_authorization(self._proxy)
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
        self._certificate, self._answered = None, False
        connection = HTTPConnection(self.origin.host, self.origin.port)
        connection.response_class = _FinalResponse
        connection.auto_open = 0  # an unguarded connection must not be opened behind our back
        connection.sock = BudgetedSocket(self._dial(self._timeouts.connect), self._budget)
        return connection

    def _dial_origin(self, seconds: float) -> socket.socket:
        secure = self.origin.scheme == "https"
        if secure and self._context is None:
            self._context = self._network.authorities.context_for(self.origin)
        self._peer = self._own = ""
        if self._proxy:
            sock = socket.create_connection((self._proxy.host, self._proxy.port), timeout=seconds)
        else:
            sock = self._connect(seconds)
        try:
            if not self._proxy:
                self._own, self._peer = sock.getsockname()[0], sock.getpeername()[0]
                self._check_address(self._peer)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if not secure or self._context is None:
                return sock
            if self._proxy:
                self._ask_for_tunnel(sock, self._proxy)
            sock.settimeout(min(seconds, self._budget.next_step()))  # of the whole handshake
            protected = self._context.wrap_socket(sock, server_hostname=self.origin.host)
        except BaseException:
            sock.close()
            raise
        self._certificate = protected.getpeercert(binary_form=True)
        return protected

    def _connect(self, seconds: float) -> socket.socket:
        """Return a connected socket. Where a server elsewhere has named the place, judge each address before."""
        host, port = self.origin.host, self.origin.port
        if self._named_by is None:
            return socket.create_connection((host, port), timeout=seconds)
        found = dict.fromkeys(str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        for address in found:
            self._check_address(address)
        failure: OSError | None = None
        for address in found:
            try:
                return socket.create_connection((address, port), timeout=seconds)
            except OSError as error:
                failure = error
        raise failure or OSError("the name has no address")

    def _check_address(self, address: str) -> None:
        """Refuse an address of this machine if a server elsewhere has sent us there. Raises: RemoteMisbehaved."""
        if self._named_by is None or not address:
            return
        from trustcli.http.this_machine import is_this_machine  # only where a server sends us elsewhere

        if is_this_machine(address) or address == self._own:
            reason = f"it sends us to {self.origin}, which is {address}, on this machine"
            raise RemoteMisbehaved(remote=str(self._named_by), reason=reason)

    def _ask_for_tunnel(self, sock: socket.socket, proxy: Proxy) -> None:
        connection = HTTPConnection(proxy.host, proxy.port)
        connection.sock = guarded = BudgetedSocket(sock, self._budget)
        place = self.origin.host_port  # with the brackets of IPv6, which http.client's own tunnel leaves out
        headers = {"Host": place, "User-Agent": _USER_AGENT, **_proxy_authorization(proxy)}
        connection.request("CONNECT", place, headers=headers)
        # Not connection.getresponse(): it takes an answer without a length for the last one, and closes.
        response = _FinalResponse(guarded, method="CONNECT")  # type: ignore[arg-type]
        try:
            response.begin()
        finally:
            response.close()
        if not is_success(response.status):
            raise proxy_refused(self.origin, proxy, response.status)

    # --- reading

    def _read(self, response: HTTPResponse, limit: int) -> Response:
        success = is_success(response.status)
        bound = limit if success else MAX_ERROR_BODY
        declared = self._declared_length(response)
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
        # The ends differ in 127.0.0.0/8: from 127.0.0.1 to 127.0.1.1, where Debian has the machine's own name.
        here = self._peer != "" and (self._peer == self._own or is_loopback(self._peer.removeprefix("::ffff:")))
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

    def _declared_length(self, response: HTTPResponse) -> int | None:
        values = set(response.msg.get_all("Content-Length") or ())
        if not values or response.chunked or response.status in {204, 304}:
            return None
        value = values.pop()
        if values or not (value.isascii() and value.isdigit() and len(value) <= _LENGTH_DIGITS):
            raise self._misbehaved("Content-Length is not one number")
        return int(value)

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


def _proxy_authorization(proxy: Proxy) -> dict[str, str]:
    return {"Proxy-Authorization": proxy.authorization} if proxy.authorization else {}


def _closed_while_idle(connection: HTTPConnection) -> bool:
    """Return whether an idle connection has something to read: its end, or bytes that were not asked for."""
    poll = select.poll()
    try:
        poll.register(connection.sock.fileno(), select.POLLIN)
        return bool(poll.poll(0))
    except (OSError, ValueError, AttributeError):
        return True
