"""Serve one client's connection: read requests one after another, have each answered, keep the connection or end it.

Source: RFC 9112. Heads are read by `request_head`; h11 reads and writes what comes or goes in pieces, for each such
request anew.
"""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import time
from collections.abc import Iterator
from email.utils import formatdate
from functools import cached_property, lru_cache
from http import HTTPStatus
from typing import Final

import h11

from trustcli.hooks.serving.held_bytes import HeldAnswers
from trustcli.hooks.serving.limits import Limits
from trustcli.hooks.serving.messages import (
    Body,
    ClientGone,
    Handler,
    Headers,
    Request,
    Response,
    ShownCertificate,
    plain,
)
from trustcli.hooks.serving.peer import ConnectedPeer
from trustcli.hooks.serving.request_head import END, RequestRefused, read_head
from trustdata.errors import TooLarge
from trustdata.hosts import address_group

_log = logging.getLogger(__name__)
_FIELD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*")
"""A header field on its line (RFC 9110, 5.1 and 5.5)."""
_OWN_FIELDS: Final = frozenset({b"connection", b"content-length", b"date", b"transfer-encoding"})
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_JOINED: Final = 64 * 1024
"""Bytes of a body up to which it is sent together with its head."""
_NO_ROOM: Final = plain(503, "too many clients take large answers slowly", (b"retry-after", b"1"), close=True)
_WITHOUT_BODY: Final = frozenset({204, 304})
_REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus}


class ClientConnection:
    """A connection and its state, served by one thread; `finish` and `abort` may be called from others."""

    def __init__(
        self,
        peer: ConnectedPeer,
        handler: Handler,
        limits: Limits,
        *,
        client: str,
        secured: bool,
        certificate: ShownCertificate | None = None,
        answers: HeldAnswers | None = None,
    ) -> None:
        """`answers`: the room for large answers, which all connections of a server share."""
        self._answers = answers or HeldAnswers(limits.held, patience=limits.patience)
        self._certificate = certificate
        self._peer = peer
        self._handler = handler
        self._limits = limits
        self._client = client
        self._secured = secured
        self._received = b""
        self._idle = True
        self._last = False
        self._in_body = False
        self._answered = 0.0

    @property
    def waiting(self) -> tuple[bool, float] | None:
        """Whether the client is to send a body, and when the answer before ended (monotonic seconds; 0: there is none).

        None if the client is not waited for. What trickles in does not count.
        """
        return (self._in_body, self._answered) if self._peer.waits else None

    def announce_end(self) -> None:
        """Let the request that has begun be the last one, and its answer say so."""
        self._last = True

    def finish(self) -> None:
        """Let the request that has begun be the last one; an idle connection ends now."""
        self._last = True
        if self._idle:
            self._shut(socket.SHUT_RD)

    def abort(self) -> None:
        """End the connection, whatever it is doing."""
        self._shut(socket.SHUT_RDWR)

    def serve(self) -> None:
        """Answer requests until the connection ends. Raises nothing."""
        gently = False
        try:
            while (head := self._read_head()) is not None and self._answer(head):
                self._idle, self._answered = True, time.monotonic()
                if self._last:
                    break
            gently = head is not None
        except RequestRefused as refused:
            gently = self._refuse(refused)
        except (OSError, ClientGone) as error:
            _log.debug("%s: the connection ended: %r", self._client, error)
        finally:
            if gently:
                self._peer.close_gently()
            else:
                self._peer.close()

    # --- reading

    def _read_head(self) -> bytes | None:
        """Return the head of the next request; None if the client has closed. Raises: OSError, RequestRefused."""
        deadline = time.monotonic() + (self._limits.head_seconds if self._received else self._limits.idle)
        searched = 0
        while (end := self._received.find(END, max(0, searched - len(END)))) < 0:
            searched = len(self._received)
            if searched > self._limits.head:
                raise RequestRefused(431, f"the head of the request is longer than {self._limits.head} bytes")
            try:
                data = self._peer.receive(deadline)
            except TimeoutError:
                if not self._received:
                    return None
                raise RequestRefused(408, "the head of the request did not come in time") from None
            if not data:
                return None
            if not self._received:
                self._idle = False
                deadline = time.monotonic() + self._limits.head_seconds
            self._received += data
            if not self._received[:1].isalpha():
                # Engines try TLS first: a handshake has no line end, and would be waited for.
                raise RequestRefused(
                    400, "this is not HTTP; a client that wants TLS must be told that there is none here"
                )
        self._idle = False
        end += len(END)
        if end > self._limits.head:
            raise RequestRefused(431, f"the head of the request is longer than {self._limits.head} bytes")
        head, self._received = self._received[:end], self._received[end:]
        return head

    def _answer(self, head: bytes) -> bool:
        """Read the rest of a request and answer it. Return whether another may follow. Raises: as `_read_head`."""
        exchange = _Exchange(self._peer, self._limits, head, self._received)
        self._received = b""
        request = exchange.request(client=self._client, secured=self._secured, certificate=self._certificate)
        self._in_body = True
        self._peer.begin_answer()  # `100 Continue` is sent while the handler reads
        try:
            response = self._handler(request)
        except (RequestRefused, ClientGone):
            raise
        except TooLarge as error:
            response = plain(413, str(error), close=True)
        except Exception:  # noqa: BLE001 - a handler's error ends one connection, never the server
            _log.exception("%s: %s %s was not answered", self._client, request.method, request.path)
            response = plain(500, "an error inside this program; its log says more", close=True)
        self._in_body = False
        self._peer.begin_answer()  # the client is not to blame for the time in which its answer was made
        size = len(response.body) if isinstance(response.body, bytes) and request.method != "HEAD" else 0
        with self._answers.room(size, group=address_group(self._client), end=self.abort) as has_room:
            keep = exchange.send(response if has_room else _NO_ROOM, last=self._last)
        self._received = exchange.following
        return keep

    def _refuse(self, refused: RequestRefused) -> bool:
        """Answer what is no request, and return whether that could be sent."""
        answer = plain(refused.status, refused.reason)
        body = answer.body if isinstance(answer.body, bytes) else b""
        head = _head(answer.status, _fields(answer, keep=False))
        try:
            self._peer.begin_answer()
            self._peer.send(head + body)
        except OSError:
            return False
        return True

    def _shut(self, how: int) -> None:
        # Not the method of an SSLSocket, which would take TLS away under the thread that uses it.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._peer.socket, how)


class _Exchange:
    """One request and its answer. `following`: what the client has sent after the request already."""

    def __init__(self, peer: ConnectedPeer, limits: Limits, head: bytes, received: bytes) -> None:
        self.following = b""
        self._peer = peer
        self._limits = limits
        self._received = received
        self._raw = head
        self._head = read_head(head, fields=limits.fields)
        self._waits_for_leave = self._head.version == "1.1" and self._head.lists(b"expect", b"100-continue")
        self._left = self._head.length or 0
        self._complete = self._head.length == 0
        if self._complete:
            self.following = received

    @cached_property
    def _http(self) -> h11.Connection:
        """What takes chunks apart, and frames an answer that is sent in pieces. Raises: RequestRefused."""
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=self._limits.head)
        try:
            http.receive_data(self._raw)
            http.next_event()
        except h11.RemoteProtocolError as error:
            raise RequestRefused(error.error_status_hint, str(error)) from error
        return http

    def request(self, *, client: str, secured: bool, certificate: ShownCertificate | None) -> Request:
        """Return the request, its body unread."""
        head = self._head
        return Request(
            method=head.method,
            target=head.target,
            headers=head.fields,
            body=Body(self._chunks if head.length is None else self._declared, length=head.length),
            client=client,
            secured=secured,
            certificate=certificate,
        )

    def _declared(self, *, bounded: bool) -> Iterator[bytes]:
        """Yield a body whose length was declared. Raises: ClientGone."""
        began, got = time.monotonic(), 0
        while self._left:
            data = self._more(self._deadline(began, got, bounded=bounded))
            piece, self._received = data[: self._left], data[self._left :]
            got += len(piece)
            self._left -= len(piece)
            yield piece
        self._complete, self.following = True, self._received

    def _chunks(self, *, bounded: bool) -> Iterator[bytes]:
        """Yield a body that comes in chunks. Raises: ClientGone, RequestRefused."""
        began, got = time.monotonic(), 0
        while not self._complete:
            try:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    data = self._more(self._deadline(began, got, bounded=bounded))
                    got += len(data)
                    self._http.receive_data(data)
                    continue
            except h11.RemoteProtocolError as error:
                raise RequestRefused(error.error_status_hint, str(error)) from error
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            else:
                self._complete = True
                self.following = self._http.trailing_data[0] + self._received

    def _deadline(self, began: float, got: int, *, bounded: bool) -> float:
        """Return until when more of a body must come, of which so many bytes have come since `began`."""
        if not bounded:
            return time.monotonic() + self._limits.stall
        return began + min(self._limits.body_seconds, self._limits.body_grace + got / self._limits.slowest_body)

    def _more(self, deadline: float) -> bytes:
        """Return more of the body. Raises: ClientGone."""
        leave, self._waits_for_leave = self._waits_for_leave, False
        if self._received:
            data, self._received = self._received, b""
            return data
        try:
            if leave:
                self._peer.send(_CONTINUE)
            data = self._peer.receive(deadline)
        except OSError as error:
            raise ClientGone from error
        if not data:
            raise ClientGone
        return data

    # --- answering

    def send(self, response: Response, *, last: bool) -> bool:
        """Send an answer. Return whether the connection can be used again. Raises: OSError."""
        body = response.body
        keep = self._complete and not (last or response.close) and self._head.version == "1.1"
        keep = keep and not self._head.lists(b"connection", b"close")  # the client wants no more
        head_only = self._head.method == "HEAD" or response.status in _WITHOUT_BODY
        try:
            self._send(response, _fields(response, keep=keep), head_only=head_only)
        except (OSError, h11.LocalProtocolError, UnsendableField):
            raise
        except Exception as error:
            # The head is gone: only the end of the connection can tell the client that the body is not whole.
            _log.warning("an answer was cut off: %s", error)
            raise ConnectionAbortedError from error
        finally:
            if not isinstance(body, bytes) and hasattr(body, "close"):
                body.close()
        return keep

    def _send(self, response: Response, fields: Headers, *, head_only: bool) -> None:
        body = response.body
        if head_only or isinstance(body, bytes):
            # What is sent at once needs nobody to frame it; for a small answer h11 takes longer than all else here.
            whole = b"" if head_only or not isinstance(body, bytes) else body
            head = _head(response.status, fields)
            # Of a large one no copy is made, which would be there for as long as the client takes.
            for piece in (head, whole) if len(whole) > _JOINED else (head + whole,):
                self._peer.send(piece)
            return
        reason = _REASONS.get(response.status, b"")
        head = self._http.send(h11.Response(status_code=response.status, headers=list(fields), reason=reason)) or b""
        if isinstance(body, Iterator):
            self._peer.send(head)
            for piece in body:
                self._peer.send(self._http.send(h11.Data(data=piece)) or b"")
            self._peer.send(self._http.send(h11.EndOfMessage()) or b"")
        else:
            self._peer.send(head)
            written = body.write_to(self._peer)
            if written != body.length:
                raise ConnectionAbortedError(f"{written} of {body.length} bytes")


class UnsendableField(Exception):
    """An answer has a header field that would end the line that it stands in: an error of the handler."""


def _head(status: int, fields: Headers) -> bytes:
    """Return the head of an answer. Raises: UnsendableField."""
    lines = [b"HTTP/1.1 %d %s" % (status, _REASONS.get(status, b""))]
    for name, value in fields:
        line = name + b": " + value
        if not _FIELD.fullmatch(line):
            raise UnsendableField(name)
        lines.append(line)
    return b"\r\n".join(lines) + END


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    """Return a moment, in seconds since 1970, as it stands in `Date`."""
    return formatdate(second, usegmt=True).encode()


def _fields(response: Response, *, keep: bool) -> Headers:
    body = response.body
    fields = [(b"date", _date(int(time.time())))]
    fields += [(name, value) for name, value in response.headers if name.lower() not in _OWN_FIELDS]
    length = response.length
    if length is None and not isinstance(body, Iterator):
        length = len(body) if isinstance(body, bytes) else body.length
    if length is not None and response.status not in _WITHOUT_BODY:
        fields.append((b"content-length", b"%d" % length))
    if not keep:
        fields.append((b"connection", b"close"))
    return fields
