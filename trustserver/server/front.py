"""Take all connections: answer plain reads here, and hand everything else to the server behind.

The first request of a connection that is no plain read (fast_path.py) takes the connection to the server behind, byte
for byte and for good. This is no proxy: it understands one kind of request and changes none. TLS ends here.

What connections there may be, and for how long one may wait for its client, is decided here for all of them (ADR 0051).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import socket
import ssl
import sys
import termios
from functools import partial
from typing import Final, cast

from trustserver.process.addresses import unmapped
from trustserver.responses.in_flight import BodiesInFlight, Reading
from trustserver.responses.ready import ReadyResponse
from trustserver.server.clients import TunnelNames
from trustserver.server.connection_limits import ConnectionLimits, Place
from trustserver.server.connection_timeouts import IDLE_SWEEPS, LEAST_BYTES
from trustserver.server.fast_path import Answer, HotAnswers, StoredAnswer
from trustserver.server.tls_session import TlsSession
from trustserver.server.tunnel import BACKLOG, Tunnel, pause, read_buffer, resume
from trustserver.server.turns import Turns

MAX_SLOW_READERS: Final = 256
"""For how many clients bytes may be held that they do not take, half a megabyte for each. When there are more, that
client of the address with the most is ended that has taken nothing for the longest time."""
_FILES_LEFT: Final = 24
"""How many files the process must still be able to open when a connection has been taken: for its tunnel and for the
database."""
_JOINED: Final = 65536
"""Bodies up to this are copied behind their head, which costs less than a second write."""


class Front:
    """Takes connections on one socket.

    `answers`: those given here; None if there are none. `tls`: None for plain HTTP. `behind`: address of the server
    behind, a Unix socket of this process. `limits`: on the number of connections. `names`: gives tunnels their names.
    `head_seconds`: how long a client may take to ask for the first time, with the TLS handshake. `files`: how many
    files the process may open. `bodies`: counts what is being sent.
    """

    def __init__(
        self,
        *,
        answers: HotAnswers | None,
        tls: ssl.SSLContext | None = None,
        behind: str,
        limits: ConnectionLimits,
        names: TunnelNames,
        bodies: BodiesInFlight,
        head_seconds: float,
        files: int,
    ) -> None:
        self.behind = behind
        self.limits = limits
        self.names = names
        self.bodies = bodies
        self.readers = limits.of_same_addresses(total=MAX_SLOW_READERS, share=MAX_SLOW_READERS)
        """The connections for which bytes are held, because their clients take them too slowly."""
        self.answers = answers
        self.tls = tls
        self.turns = Turns()
        self.files = files
        self.sweeps = 0
        self.connections: set[Connection] = set()
        self.silent: dict[Connection, float] = {}
        """Connections whose client has asked nothing yet, and until when it may take; the first has least time left."""
        self.read_buffer = read_buffer()
        self._head_seconds = head_seconds
        self._none = asyncio.Event()
        self._none.set()
        self._server: asyncio.Server | None = None

    async def start(self, bound: socket.socket) -> None:
        """Take connections on a bound socket."""
        loop = asyncio.get_running_loop()
        create = loop.create_unix_server if bound.family == socket.AF_UNIX else loop.create_server
        self._server = await create(lambda: Connection(self), sock=bound, backlog=BACKLOG)

    def stop(self) -> None:
        """Take no more connections, and end those that are no tunnels; answers that are on their way are sent."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.end()

    def opened(self, connection: Connection, address: str, file: int) -> Place | None:
        """Count a new connection. Return None if there is no room for it."""
        self.connections.add(connection)
        self._none.clear()
        place = self.limits.admit(address, connection.abort, is_room=file < self.files - _FILES_LEFT)
        if place is not None:
            self.silent[connection] = asyncio.get_running_loop().time() + self._head_seconds
        return place

    def lost(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        self.connections.discard(connection)
        self.silent.pop(connection, None)
        if not self.connections:
            self._none.set()

    async def ended(self, *, seconds: float = 0) -> None:
        """Wait until no connection is open; call it after `stop` and after the end of the server behind.

        `seconds`: how long responses that are being sent may still take; then their connections are aborted.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._none.wait()
        for connection in list(self.connections):
            connection.abort()
        await self._none.wait()

    def expire(self, *, at: float) -> None:
        """End connections whose client has taken too long to ask for the first time. `at`: the event loop's time."""
        late = list(itertools.takewhile(lambda connection: self.silent[connection] <= at, self.silent))
        for connection in late:
            del self.silent[connection]
            connection.abort()

    def sweep(self) -> None:
        """End connections that do nothing. Call it at regular intervals."""
        self.sweeps += 1
        for connection in list(self.connections):
            connection.end_if_idle()


class Connection(asyncio.Protocol):
    """One client's connection: plain reads, until a request is none; from then on a tunnel."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._client: asyncio.Transport
        self._place: Place | None = None
        self._tls = None if front.tls is None else TlsSession(front.tls)
        self._has_turn = False
        self._unsent = memoryview(b"")
        self._tunnel: Tunnel | None = None
        self._name = ""
        self._closes = False
        self._requests = 0
        self._is_stuck = False
        self._waits = False
        """Whether the response to a request is being read from the store."""
        self._has_heard_all = False
        self._slow: Place | None = None
        self._reading: Reading | None = None
        self._read: ReadyResponse | None = None
        self._heard = front.sweeps
        self._given = 0
        self._taken = 0
        self.peer = ("", 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._client = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        if self._tls is None:
            # Whoever has not taken all of a body makes this side hold it, and is counted for that.
            self._client.set_write_buffer_limits(0)
        peer = transport.get_extra_info("peername")  # None if the client has gone again
        if isinstance(peer, tuple):  # who comes over a Unix socket has no address
            self.peer = (unmapped(peer[0]), peer[1])
        self._place = self._front.opened(self, self.peer[0], transport.get_extra_info("socket").fileno())
        if self._place is None:
            self._client.abort()

    def data_received(self, data: bytes) -> None:
        if self._tls is None:
            self._hear(data)
        elif self._tls.is_open and not self._has_turn:
            self._decrypt(self._tls, data)
            if self._tls.is_behind:
                self._read_on()
        else:
            self._take_turn(self._tls, data)

    def _take_turn(self, tls: TlsSession, data: bytes) -> None:
        """Decrypt when it is this address's turn: a handshake, or the next of many records."""
        pause(self._client)  # so that there is one piece of work at a time
        self._has_turn = True
        self._front.turns.add(self.peer[0], partial(self._use_turn, tls, data))

    def _use_turn(self, tls: TlsSession, data: bytes) -> None:
        self._has_turn = False
        if not self._client.is_closing():
            self._decrypt(tls, data)
            self._read_on()

    def _read_on(self) -> None:
        """Take more from the client, unless what it has asked for must be sent first."""
        if self._client.is_closing() or self._has_turn or self._waits:
            return
        tunnel = self._tunnel
        is_ready = not (self._unsent or self._is_stuck) if tunnel is None else tunnel.takes_more
        if self._tls is not None and self._tls.is_behind:
            pause(self._client)
            if is_ready:
                self._take_turn(self._tls, b"")
        elif is_ready:
            resume(self._client)

    def _decrypt(self, tls: TlsSession, data: bytes) -> None:
        try:
            plain = tls.receive(data)
        except ssl.SSLError:
            self._write(tls.to_send())  # an alert says why
            self._client.close()
            return
        self._write(tls.to_send())
        if plain:
            self._hear(plain)
        if tls.has_ended and not self.eof_received():
            self.end()

    def _hear(self, data: bytes) -> None:
        """Take the plain bytes that the client has sent."""
        if self._tunnel is not None:
            self._tunnel.forward(data)
            return
        if self._place is None:
            return
        self._heard = self._front.sweeps
        answers = self._front.answers
        if answers is not None:
            answer = answers.answer(data)
            if answer is not None:
                self._answer(self._place, answer)
                return
            reading = answers.begin(data)
            if reading is not None:
                pause(self._client)  # so that there is one request at a time
                self._waits = True
                self.request_begins()
                reading.add_done_callback(partial(self._has_come, data))
                return
        self._open_tunnel(data)

    def _has_come(self, request: bytes, reading: asyncio.Task[StoredAnswer | None]) -> None:
        """Give what the store was asked for, or let the server behind answer."""
        self._waits = False
        self.request_ends()
        failed = reading.cancelled() or reading.exception() is not None  # behind, it is logged if it happens again
        answer = None if failed else reading.result()
        if self._place is None or self._client.is_closing():
            return
        if answer is None:
            self._open_tunnel(request)
            return
        (head, body, closes), read = answer
        self._answer(self._place, (head, body, closes or self._has_heard_all), read)
        self._read_on()

    def _open_tunnel(self, first_bytes: bytes) -> None:
        if self._tls is None:
            self._client.set_write_buffer_limits()  # what a tunnel holds is bounded by its pieces
        self._tunnel = Tunnel.open(
            self._client,
            send=self.give,
            end=self._close,
            read_on=self._tunnel_is_open,
            way=self._front,
            name=self._give_name,
            first_bytes=first_bytes,
        )

    def _tunnel_is_open(self) -> None:
        if self._has_heard_all and self._tunnel is not None:
            self._tunnel.forward_eof()
        self._read_on()

    def _answer(self, place: Place, answer: Answer, read: ReadyResponse | None = None) -> None:
        """Send an answer. `read`: what it was made of, if it is not cached: others may share it while it is sent."""
        self._front.silent.pop(self, None)
        place.heard = True
        head, body, self._closes = answer
        if len(body) <= _JOINED:
            self.give(head + body)
        else:
            self.give(head)
            self.give(body)
            if self._unsent or self._is_stuck:
                self._reading = self._front.bodies.read(body, self.abort)
                self._read = read
        if self._closes and not self._unsent:
            self._close()

    def _give_name(self, unix_socket: socket.socket) -> None:
        self._name = self._front.names.bind(unix_socket, self)
        if not self._name:  # nobody will tell when a request begins
            self._front.silent.pop(self, None)

    @property
    def certificate(self) -> bytes | None:
        """The client certificate that the connection was made with (DER); None if there is none."""
        return None if self._tls is None else self._tls.certificate

    def request_begins(self) -> None:
        """Note that the application answers a request of this connection."""
        self._requests += 1
        self._front.silent.pop(self, None)
        if self._place is not None:
            self._place.busy()

    def request_ends(self) -> None:
        """Note that the application has answered, or given up."""
        self._requests -= 1
        self._rest()

    def _has_read(self) -> None:
        if self._reading is not None:
            self._reading.release()
            self._reading = self._read = None

    def _rest(self) -> None:
        if self._place is not None and not self._requests and not self._is_stuck:
            self._place.idle()

    def give(self, data: bytes) -> None:
        """Send to the client."""
        if self._tls is None:
            self._write(data)
        else:
            # Mostly all that was given before is sent, since nothing is asked for until then.
            self._unsent = memoryview(b"".join((self._unsent, data)) if self._unsent else data)
            self._encrypt(self._tls)

    def _encrypt(self, tls: TlsSession) -> None:
        """Send as much as the client takes. The rest stays as it is, since that is one copy for all readers."""
        while self._unsent and not self._is_stuck:
            piece, self._unsent = self._unsent[:_JOINED], self._unsent[_JOINED:]
            try:
                self._write(tls.encrypt(piece))
            except ssl.SSLError:
                self._client.abort()
                return

    def _write(self, data: bytes) -> None:
        if data:
            self._given += len(data)
            self._client.write(data)

    def _close(self) -> None:
        """Close when all is sent."""
        if self._tls is not None and not self._client.is_closing():
            self._write(self._tls.close())
        self._client.close()

    def eof_received(self) -> bool:
        """Whether to stay open: what the client asked before it stopped talking is still answered."""
        if self._waits:
            self._has_heard_all = True
            return True
        if self._tunnel is None:
            return False  # answers that are on their way are sent first
        self._tunnel.forward_eof()
        return True

    def pause_writing(self) -> None:
        self._is_stuck = True
        if self._place is not None:
            self._place.busy()
        if self._slow is None and (self._tls is not None or self._tunnel is not None):  # else nothing is copied
            self._slow = self._front.readers.admit(self.peer[0], self.abort)
        if self._tunnel is not None:
            self._tunnel.pause()
        else:
            pause(self._client)  # who does not take answers asks no more questions

    def resume_writing(self) -> None:
        self._is_stuck = False
        if self._slow is not None:
            self._slow.leave()
            self._slow = None
        if self._tls is not None and self._unsent:
            self._encrypt(self._tls)
            if self._unsent or self._is_stuck:
                return
            if self._closes:
                self._close()
                return
        self._has_read()
        self._rest()
        if self._tunnel is not None:
            self._tunnel.resume()
        else:
            self._read_on()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._front.lost(self)
        self._unsent = memoryview(b"")  # a body must not wait for the garbage collector
        self._front.names.forget(self._name)
        self._has_read()
        if self._slow is not None:
            self._slow.leave()
        if self._place is not None:
            self._place.leave()
            self._place = None
        if self._tunnel is not None:
            self._tunnel.close()

    def end(self) -> None:
        """Close, after what is on its way. A tunnel ends with the server behind."""
        if self._waits:
            self._has_heard_all = True
        elif self._tunnel is None:
            self._close()

    def abort(self) -> None:
        """Close at once."""
        self._client.abort()
        if self._tunnel is not None:
            self._tunnel.abort()

    def end_if_idle(self) -> None:
        """End a connection whose client neither sends nor reads, or reads too little.

        What the client of a tunnel sends is for the server behind to watch. That server holds what the client does not
        read, without a time limit: so this looks after it.
        """
        unsent = self._client.get_write_buffer_size() + _in_kernel(self._client)
        taken = self._given - unsent
        if taken >= self._taken + LEAST_BYTES or (self._tunnel is not None and not unsent):
            self._heard = self._front.sweeps
        self._taken = taken
        if self._front.sweeps - self._heard >= IDLE_SWEEPS:
            self._client.abort()


def _in_kernel(transport: asyncio.Transport) -> int:
    """Bytes that the kernel has taken and the other end has not: some megabytes, minutes for a slow reader (tcp(7))."""
    queued = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(queued, sys.byteorder)
