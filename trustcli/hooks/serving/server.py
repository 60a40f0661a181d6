"""Accept connections, a thread for each, within limits, and stop in order."""

from __future__ import annotations

import contextlib
import errno
import logging
import selectors
import socket
import ssl
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from trustcli.errors import SettingsUnusable
from trustcli.hooks.serving.certificate import shown_certificate
from trustcli.hooks.serving.connection import ClientConnection
from trustcli.hooks.serving.held_bytes import HeldAnswers
from trustcli.hooks.serving.limits import Limits
from trustcli.hooks.serving.listening import Listen
from trustcli.hooks.serving.messages import Handler
from trustcli.hooks.serving.peer import ConnectedPeer
from trustcli.hooks.serving.stop_request import StopRequest
from trustdata.hosts import address_group

_log = logging.getLogger(__name__)
_BUSY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n"
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: 21\r\n\r\ntoo many connections\n"
)
_TURNED_AWAY: Final = 64
"""Refused connections that are kept a moment, so that what they were told arrives."""
_BACKLOG: Final = 512

TlsContext = Callable[[], ssl.SSLContext]
"""Returns the settings of TLS for the next connection: those of a certificate that may have been renewed."""


@dataclass(slots=True, kw_only=True)
class _Held:
    """A connection that has a place. `group`: what its address is counted under. `connection`: None in a handshake.

    `since`: in monotonic seconds.

    `sock`: that of TLS, where TLS is spoken; the one that was accepted has no descriptor any more.
    """

    group: str
    sock: socket.socket
    connection: ClientConnection | None = None
    since: float = field(default_factory=time.monotonic)

    @property
    def waiting(self) -> tuple[bool, float] | None:
        """Whether the client is to send a body, and since when it is waited for; None if it is not."""
        found = (False, 0.0) if self.connection is None else self.connection.waiting
        return None if found is None else (found[0], max(found[1], self.since))


class Server:
    """An HTTP/1.1 server on threads and blocking sockets. `run` returns after `stop`."""

    def __init__(
        self, *, listen: Listen, handler: Handler, tls: TlsContext | None = None, limits: Limits | None = None
    ) -> None:
        """Bind the address; connections wait until `run`. Raises: SettingsUnusable (the address cannot be used)."""
        self.limits = limits or Limits()
        self.turned_away = 0
        """How many connections were refused because there were too many."""
        self._handler = handler
        self._tls = tls
        self._listener = _bound(listen)
        self._stop = StopRequest()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._open: dict[socket.socket, _Held] = {}
        self._by_address: Counter[str] = Counter()
        self._leaving: deque[socket.socket] = deque()
        self._answers = HeldAnswers(self.limits.held, patience=self.limits.patience)

    @property
    def address(self) -> Listen:
        """Host and port that are listened at: with port 0 the one that was chosen."""
        host, port = self._listener.getsockname()[:2]
        return Listen(host=str(host), port=int(port))

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._open)

    @property
    def stopping(self) -> bool:
        """Whether the end was asked for."""
        return self._stop.made

    def stop(self) -> None:
        """Ask for the end: from any thread, or a signal handler. Repeating it changes nothing."""
        self._stop.make()

    def run(self) -> None:
        """Serve until `stop`; then finish what has begun, within `Limits.stopping`. Raises nothing."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._stop, selectors.EVENT_READ)
            while not self._stop.made:
                ready = selector.select(1.0 if self._leaving else None)
                if not ready:
                    self._let_go(0)
                elif any(key.fileobj is self._listener for key, _ in ready):
                    self._accept()
        self._listener.close()
        self._let_go(0)
        self._finish()
        self._stop.close()

    # --- accepting

    def _accept(self) -> None:
        try:
            sock, address = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:
            _log.warning("no connection can be accepted: %s", error.strerror)
            time.sleep(0.1)  # out of descriptors: the connection stays in the queue, and would be offered at once
            return
        client = str(address[0])
        group = address_group(client)
        with self._lock:
            ended = self._make_room(group)
            full = len(self._open) >= self.limits.connections or self._by_address[group] >= self.limits.per_address
            if not full:
                self._open[sock] = _Held(group=group, sock=sock)
                self._by_address[group] += 1
        if ended is not None:
            with contextlib.suppress(OSError):
                # Its thread notices, and closes it. Not the method of an SSLSocket: the thread is using TLS.
                socket.socket.shutdown(ended.sock, socket.SHUT_RDWR)
        if full:
            self._turn_away(sock)
            return
        thread = threading.Thread(target=self._serve, args=(sock, client), name=f"client {client}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads
            self._forget(sock)
            self._turn_away(sock)

    def _make_room(self, group: str) -> _Held | None:
        """Return the connection that is ended for a new one of a group; None if there is room, or none to end.

        Whoever connects and says nothing would keep out everybody else for as long as an idle connection may stay.
        """
        of_address = self._by_address[group] >= self.limits.per_address
        if not of_address and len(self._open) < self.limits.connections:
            return None
        latest = time.monotonic() - self.limits.patience
        waiting = (
            (since, sock)
            for sock, held in self._open.items()
            if (held.group == group or not of_address) and (since := held.waiting) is not None and since[1] <= latest
        )
        found = min(waiting, key=lambda each: each[0], default=None)
        if found is None:
            return None
        return self._release(found[1])

    def _turn_away(self, sock: socket.socket) -> None:
        """Answer 503 without reading, and close a moment later. In TLS nothing can be said without a handshake."""
        self.turned_away += 1
        if self._tls is not None:
            sock.close()
            return
        with contextlib.suppress(OSError):
            sock.setblocking(False)
            sock.send(_BUSY)
            sock.shutdown(socket.SHUT_WR)
        self._leaving.append(sock)
        self._let_go(_TURNED_AWAY)

    def _let_go(self, most: int) -> None:
        """Close refused connections, the oldest first, until only `most` are left."""
        while len(self._leaving) > most:
            self._leaving.popleft().close()

    # --- one connection

    def _serve(self, sock: socket.socket, client: str) -> None:
        accepted, shown = sock, None
        try:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls().wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                self._handshake(accepted, sock)
                shown = shown_certificate(sock)
            peer = ConnectedPeer(sock, self.limits)
            connection = ClientConnection(
                peer,
                self._handler,
                self.limits,
                client=client,
                secured=self._tls is not None,
                certificate=shown,
                answers=self._answers,
            )
            with self._lock:
                held, last = self._open.get(accepted), self._stop.made
                if held is not None:
                    held.connection = connection
            if last:
                connection.finish()
            if held is not None:
                connection.serve()
        except ssl.SSLCertVerificationError as error:
            _log.info("%s: its certificate does not count: %s", client, error.verify_message)
        except (OSError, ValueError) as error:
            _log.debug("%s: no handshake: %r", client, error)
        except Exception:  # noqa: BLE001 - the server goes on
            _log.exception("%s: the connection ended", client)
        finally:
            sock.close()
            self._forget(accepted)

    def _handshake(self, accepted: socket.socket, sock: ssl.SSLSocket) -> None:
        with self._lock:
            if accepted not in self._open:
                raise ConnectionAbortedError
            self._open[accepted].sock = sock
        sock.settimeout(self.limits.handshake)  # of the whole handshake
        sock.do_handshake()

    def _forget(self, sock: socket.socket) -> None:
        with self._changed:
            self._release(sock)
            self._changed.notify_all()

    def _release(self, sock: socket.socket) -> _Held | None:
        """Give up the place of a connection, and return what held it. Repeating it changes nothing."""
        held = self._open.pop(sock, None)
        if held is not None:
            self._by_address[held.group] -= 1
            if self._by_address[held.group] <= 0:
                del self._by_address[held.group]
        return held

    # --- stopping

    def _finish(self) -> None:
        with self._lock:
            connections = [held.connection for held in self._open.values()]
        # First all of them: who sees one connection end must not be told by another that it stays.
        for connection in filter(None, connections):
            connection.announce_end()
        for connection in filter(None, connections):
            connection.finish()
        deadline = time.monotonic() + self.limits.stopping
        with self._changed:
            while self._open and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            connections = [held.connection for held in self._open.values()]
        if connections:
            _log.warning("%d connections were cut off at the end", len(connections))
        for connection in filter(None, connections):
            connection.abort()


def _bound(listen: Listen) -> socket.socket:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    try:
        found = socket.create_server((listen.host, listen.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        # Python adds the address to the system's words, and it stands before them already.
        words = str(error.strerror or error)
        in_use = ": another program listens there" if error.errno == errno.EADDRINUSE else ""
        reason = f"cannot be listened at: {words.partition(' (while ')[0]}{in_use}"
        raise SettingsUnusable(place=str(listen), reason=reason) from error
    found.setblocking(False)
    return found
