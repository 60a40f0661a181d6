"""One keep-alive connection to one origin, for start-up time on http.client alone.

Bounds: bytes of body (decoded), bytes and time of the whole exchange, number and length of headers (http.client's own:
100, each 64 KiB).
"""

from __future__ import annotations

import select
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection

from trustcli.http.errors import proxy_refused, transport_failure
from trustcli.http.messages import MAX_ERROR_BODY, USER_AGENT, Answer, Origin, is_success
from trustcli.http.proxies import Proxy, proxy_for
from trustcli.http.time_budget import BudgetedSocket, Clock, ExchangeBudget, Timeouts, TooManyBytes
from trustcli.http.tls import CertificateAuthorities
from trustdata.errors import RemoteMisbehaved, TooLarge

_LENGTH_DIGITS = 18


class HttpConnection:
    """Opened at the first exchange, kept open, opened again when the server closed it while it was idle.

    A request that may have been received is never sent twice, unless it is a GET. Not for threads.
    """

    def __init__(
        self,
        origin: Origin,
        *,
        authorities: CertificateAuthorities,
        environ: Mapping[str, str],
        clock: Clock,
        timeouts: Timeouts,
    ) -> None:
        """`environ` for the proxy variables; `clock` gives monotonic seconds. Raises: SettingsUnusable."""
        self.origin = origin
        self._authorities = authorities
        self._timeouts = timeouts
        self._budget = ExchangeBudget(clock, step=timeouts.read)
        self._proxy: Proxy | None = proxy_for(origin.scheme, origin.host, origin.port, environ)
        self._connection: HTTPConnection | None = None

    def close(self) -> None:
        """Close; the next exchange opens again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def exchange(
        self, method: str, target: str, *, headers: Mapping[str, str], limit: int, body: bytes | None = None
    ) -> Answer:
        """One request and its whole answer. `limit`: bytes of a success's body; of others the first 64 KiB are kept.

        Raises: RemoteUnreachable, RemoteMisbehaved, TooLarge, SettingsUnusable. Redirects are answers like others.
        """
        seconds = self._timeouts.overall if body is None else self._timeouts.upload
        self._budget.start(seconds, limit=max(limit, MAX_ERROR_BODY))
        try:
            response = self._respond(method, target, headers, body)
            answer = self._read(response, limit)
        except BaseException as error:
            self.close()
            if isinstance(error, TooManyBytes):
                raise TooLarge(what=f"an answer of {self.origin}", limit=limit) from error
            if isinstance(error, OSError | HTTPException):
                raise transport_failure(
                    error, self.origin, authorities=self._authorities, proxy=self._proxy, seconds=self._timeouts.connect
                ) from error
            raise
        if not response.isclosed() or response.will_close:
            self.close()
        if self._proxy is not None and answer.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            raise proxy_refused(self.origin, self._proxy, answer.status)
        return answer

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
        every = {"Host": self.origin.netloc, "User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers}
        if self._proxy and self.origin.scheme == "http":
            target = f"{self.origin}{target}"
            if self._proxy.authorization:
                every["Proxy-Authorization"] = self._proxy.authorization
        try:
            connection.request(method, target, body=body, headers=every)
        except (BrokenPipeError, ConnectionResetError):
            # A server that refuses an upload may answer and close before it has read everything.
            if body is None:
                raise
        return connection.getresponse()

    def _open(self) -> HTTPConnection:
        to = self._proxy or self.origin
        connection: HTTPConnection
        if self.origin.scheme == "https":
            context = self._authorities.context_for(self.origin)
            connection = HTTPSConnection(to.host, to.port, timeout=self._timeouts.connect, context=context)
            if self._proxy:
                extra = {"Proxy-Authorization": self._proxy.authorization} if self._proxy.authorization else {}
                connection.set_tunnel(self.origin.host, self.origin.port, headers=extra)
        else:
            connection = HTTPConnection(to.host, to.port, timeout=self._timeouts.connect)
        connection.auto_open = 0  # an unguarded connection must not be opened behind our back
        connection.connect()
        connection.sock = BudgetedSocket(connection.sock, self._budget)
        return connection

    def _read(self, response: HTTPResponse, limit: int) -> Answer:
        success = is_success(response.status)
        bound = limit if success else MAX_ERROR_BODY
        declared = self._declared_length(response)
        if success and declared is not None and declared > bound:
            raise TooLarge(what=f"an answer of {self.origin}", limit=bound)
        try:
            raw = response.read(bound + 1)
        except ValueError as error:  # http.client takes a chunk size such as -2
            raise RemoteMisbehaved(remote=str(self.origin), reason="a chunk of its answer has no valid size") from error
        if len(raw) > bound:
            if success:
                raise TooLarge(what=f"an answer of {self.origin}", limit=bound)
            raw = raw[:bound]
        elif declared is not None and len(raw) != declared:
            raise RemoteMisbehaved(remote=str(self.origin), reason=f"cut off after {len(raw)} of {declared} bytes")
        return Answer(
            status=response.status, headers=tuple(response.getheaders()), body=self._decoded(response, raw, bound)
        )

    def _declared_length(self, response: HTTPResponse) -> int | None:
        values = set(response.msg.get_all("Content-Length") or ())
        if not values or response.chunked or response.status in {204, 304}:
            return None
        value = values.pop()
        if values or not (value.isascii() and value.isdigit() and len(value) <= _LENGTH_DIGITS):
            raise RemoteMisbehaved(remote=str(self.origin), reason="Content-Length is not one number")
        return int(value)

    def _decoded(self, response: HTTPResponse, raw: bytes, bound: int) -> bytes:
        coding = (response.getheader("Content-Encoding") or "identity").strip().lower()
        if coding == "identity":
            return raw
        if coding not in {"gzip", "x-gzip"}:
            raise RemoteMisbehaved(remote=str(self.origin), reason=f"Content-Encoding {coding} was not asked for")
        import zlib

        decoder = zlib.decompressobj(wbits=31)
        try:
            plain = decoder.decompress(raw, bound + 1)
        except zlib.error as error:
            raise RemoteMisbehaved(remote=str(self.origin), reason="its gzip data is damaged") from error
        if len(plain) > bound:
            raise TooLarge(what=f"an answer of {self.origin}", limit=bound)
        if not decoder.eof or decoder.unused_data:
            raise RemoteMisbehaved(remote=str(self.origin), reason="its gzip data is cut off or followed by other data")
        return plain


def _closed_while_idle(connection: HTTPConnection) -> bool:
    """Whether there is something to read on an idle connection: its end, or bytes that nobody asked for."""
    poll = select.poll()
    try:
        poll.register(connection.sock.fileno(), select.POLLIN)
        return bool(poll.poll(0))
    except (OSError, ValueError, AttributeError):
        return True
