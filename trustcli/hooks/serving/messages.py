"""Define what a handler gets and gives: requests, answers, and bodies that are written to the connection directly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from trustdata.errors import TooLarge

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Header fields in the order of the message, names in lower case; a field that stands twice is there twice."""


class ClientGone(Exception):
    """The client closed the connection, or was too slow, in the middle of its request. Nobody is left to answer."""


class Body:
    """The body of a request, read from the connection as the handler asks for it; nothing is read before that.

    A client that waits for `100 Continue` (RFC 9110, 10.1.1) gets it with the first read. What a handler does not read
    costs the client its connection. `length`: bytes, as declared; None if it comes in chunks.

    Reading raises ClientGone, and RequestRefused if what comes is not HTTP; a handler lets both pass.
    """

    def __init__(self, source: BodySource, *, length: int | None) -> None:
        self.length = length
        self._source = source

    def read(self, limit: int, *, admit: Callable[[int], None] | None = None) -> bytes:
        """Return the whole body, within `Limits.body_seconds`. Raises: TooLarge, before more than `limit` is kept.

        `admit`: is called with the bytes of each piece before it is kept; what it raises ends the reading.
        """
        if self.length is not None and self.length > limit:
            raise TooLarge(what="the body of the request", limit=limit)
        found = bytearray()
        for piece in self._source(bounded=True):
            if admit is not None:
                admit(len(piece))
            found += piece
            if len(found) > limit:
                raise TooLarge(what="the body of the request", limit=limit)
        return bytes(found)

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it comes, of any size, in pieces of at most 64 KiB, each within `Limits.stall`."""
        return self._source(bounded=False)


class BodySource(Protocol):
    """What reads the pieces of a body from a connection. `bounded`: all of it in time, as `Limits` has it."""

    def __call__(self, *, bounded: bool) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCertificate:
    """A client's certificate, which was verified when the connection began.

    `authorities`: by what: the SHA-256 of the file of those who issue them. `expires`: seconds since 1970.
    """

    authorities: bytes
    expires: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, checked to be HTTP/1.1 without ambiguity.

    `target`: path and query as they were sent, beginning with `/`. `client`: the address of the other end. `secured`:
    whether it came over TLS. `certificate`: what the client has shown, if it was asked for one.
    """

    method: str
    target: str
    headers: Headers
    body: Body = field(repr=False)
    client: str = ""
    secured: bool = False
    certificate: ShownCertificate | None = None

    @property
    def path(self) -> str:
        """The target without its query, as it was sent: nothing is decoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query as it was sent; empty for none."""
        return self.target.partition("?")[2]

    def every(self, name: str) -> list[str]:
        """Return all values of a header field (`name` in lower case), in order."""
        wanted = name.encode()
        return [value.decode("latin-1") for key, value in self.headers if key == wanted]

    def first(self, name: str) -> str:
        """Return the first value of a header field (`name` in lower case), or an empty string."""
        return next(iter(self.every(name)), "")


class Peer(Protocol):
    """The client's end of a connection, for a body that is written by whoever has it. Each method raises OSError."""

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of it, or fail: a client that takes nothing for too long is cut off."""

    def plain_socket(self) -> int | None:
        """Return the descriptor of the socket if bytes may be written to it as they are; None over TLS."""

    def wait_writable(self) -> None:
        """Wait until the socket takes bytes, for a writer that uses the descriptor."""

    def sent(self, count: int) -> None:
        """Say that so many bytes went to the descriptor: who takes them too slowly is cut off here."""


class Relay(Protocol):
    """A body that writes itself, such as one that the kernel moves from another socket.

    `length`: its bytes, exactly. If it raises or writes less, the connection is closed, so that the client notices.
    """

    length: int

    def write_to(self, peer: Peer) -> int:
        """Write the body and return how many bytes were written."""

    def close(self) -> None:
        """Give back what it holds. It is called once, whether the body was written or not."""


AnswerBody: TypeAlias = bytes | Iterator[bytes] | Relay


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One answer. The server adds `Date`, and frames the body; `Content-Length` and `Transfer-Encoding` are its own.

    `body`: bytes, pieces (sent in chunks, or as they are where `length` says how many bytes they have), or a relay.
    `length`: of the pieces; with a HEAD also of the body that a GET would have. `close`: end the connection after it.
    """

    status: int
    headers: Headers = ()
    body: AnswerBody = field(default=b"", repr=False)
    length: int | None = None
    close: bool = False


Handler: TypeAlias = Callable[[Request], Response]
"""What answers. It is called on a thread of its own for each connection. What it raises is answered with 500."""


def plain(status: int, sentence: str, *headers: tuple[bytes, bytes], close: bool = False) -> Response:
    """Return an answer of one line of text."""
    kind = (b"content-type", b"text/plain; charset=utf-8")
    body = f"{sentence}\n".encode(errors="backslashreplace")
    return Response(status=status, headers=(kind, *headers), body=body, close=close)
