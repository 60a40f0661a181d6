"""An HTTP server on loopback that does to each request what a script says: raw bytes, delays on events, lies."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Request:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int


@dataclass(kw_only=True)
class Wire:
    """The server's end of a connection."""

    sock: socket.socket
    stopping: threading.Event
    open: bool = True

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def close(self) -> None:
        self.open = False


Script = Callable[[Request, Wire], None]


MANY_MEGABYTES = 40


def reply(status: int, body: bytes = b"", headers: Mapping[str, str | None] | None = None) -> bytes:
    """A correct answer; a header given replaces the one that would be made, None leaves it out."""
    every: dict[str, str | None] = {"Content-Length": str(len(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in every.items() if value is not None)
    return f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode() + body


def answering(*answers: bytes) -> Script:
    """One answer after the other; the last one for ever."""
    left = list(answers)

    def script(_: Request, wire: Wire) -> None:
        wire.send(left.pop(0) if len(left) > 1 else left[0])

    return script


def first(answer: bytes, then: Script) -> Script:
    """A server that gives this answer once, and does what it should from then on."""
    left = [answer]

    def script(request: Request, wire: Wire) -> None:
        if left:
            wire.send(left.pop())
        else:
            then(request, wire)

    return script


def megabytes_after(chunk_size: bytes) -> Script:
    """A chunked answer whose chunk size is no size, and then what the client is willing to read."""

    def script(_: Request, wire: Wire) -> None:
        wire.send(reply(200, headers={"Transfer-Encoding": "chunked", "Content-Length": None}) + chunk_size + b"\r\n")
        for _megabyte in range(MANY_MEGABYTES):
            wire.send(b"x" * 1_000_000)
        wire.close()

    return script


def json_reply(status: int, content: object, headers: Mapping[str, str] | None = None) -> bytes:
    return reply(status, json.dumps(content).encode(), {"Content-Type": "application/json", **(headers or {})})


@dataclass
class HostileServer:
    script: Script
    tls: ssl.SSLContext | None = None
    address: str = "127.0.0.1"
    at: int = 0
    """The port that it asks for; 0: whichever is free."""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._stopping = threading.Event()
        self._listener = socket.create_server((self.address, self.at))
        self.port = int(self._listener.getsockname()[1])
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._start(self._accept)

    @property
    def netloc(self) -> str:
        return f"{self.address}:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.netloc}"

    def stop_listening(self) -> None:
        """Refuse whoever connects from now on; connections that there are go on."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def stop(self) -> None:
        self._stopping.set()
        self.stop_listening()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=10)

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            number = self.connections
            self._open.append(sock)
            self._start(lambda sock=sock, number=number: self._serve(sock, number))  # type: ignore[misc]

    def _serve(self, sock: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, ValueError), sock:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            elif sock.recv(1, socket.MSG_PEEK) == b"\x16":
                sock.recv(65536)  # a TLS handshake, which this server does not speak; servers in Go say so like this
                sock.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTPS request to an HTTP server.\n")
                return
            with contextlib.closing(sock), sock.makefile("rb") as reader:
                wire = Wire(sock=sock, stopping=self._stopping)
                while wire.open and (request := read_request(reader, number)):
                    self.requests.append(request)
                    self.script(request, wire)
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


def read_request(reader: object, number: int) -> Request | None:
    line = reader.readline().decode("latin-1").split()  # type: ignore[attr-defined]
    if len(line) != 3:
        return None
    headers: dict[str, str] = {}
    while (header := reader.readline().decode("latin-1").strip()) != "":  # type: ignore[attr-defined]
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    body = reader.read(int(headers.get("content-length", "0")))  # type: ignore[attr-defined]
    return Request(method=line[0], target=line[1], headers=headers, body=body, connection=number)


class DripClock:
    """Monotonic seconds that pass by being looked at; each look lets a dripping server send one byte more."""

    def __init__(self) -> None:
        self.now = 0.0
        self.looked = threading.Event()

    def __call__(self) -> float:
        self.now += 1.0
        self.looked.set()
        return self.now

    def drip(self, wire: Wire, data: Iterator[bytes]) -> None:
        """Send a piece for each look, until the client hangs up or the server stops."""
        for piece in data:
            while not self.looked.wait(timeout=0.05):
                if wire.stopping.is_set():
                    return
            self.looked.clear()
            wire.send(piece)
