"""The socket of `trust agent`: a thread for each connection, within limits for each user and in all."""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import stat
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Final

from keys.record import record
from trustcli.errors import SettingsUnusable
from trustcli.hooks.agent.answers import Answers, QuestionMalformed
from trustcli.hooks.agent.place import trusted_uids, why_unsafe
from trustcli.hooks.agent.protocol import MAX_QUESTION, NoFrame, peer_uid, receive, send
from trustcli.hooks.resident.rate import Rate
from trustcli.hooks.serving.stop_request import StopRequest

_BACKLOG: Final = 128
_LONGEST_PATH: Final = 107
"""Bytes, of Linux: a longer name could be given to a socket by renaming it, and nobody could connect to it."""
_log = logging.getLogger(__name__)


@record
class AgentLimits:
    """What askers may cost. Times in seconds.

    `connections`: at one time, in all; `per_user`: of one user. `questions`: of one user in a second, on average.
    `idle`: until the next question has come whole, and for an answer to be taken. `life`: of a connection.
    `stopping`: in which questions that were asked are answered when the end comes.
    """

    connections: int = 128
    per_user: int = 32
    questions: float = 100.0
    idle: float = 5.0
    life: float = 60.0
    stopping: float = 5.0


class AgentServer:
    """A Unix socket that answers questions. `run` returns after `stop`.

    `mode`: of the socket, which says who may ask: 0600 its own user and root, 0660 its group, 0666 all users.
    """

    def __init__(self, path: Path, answers: Answers, *, mode: int = 0o600, limits: AgentLimits | None = None) -> None:
        """Make the socket, in place of one that nobody listens at. Raises: SettingsUnusable."""
        self.path = path
        self.limits = limits or AgentLimits()
        self.turned_away = 0
        """Connections that were closed unread, because there were too many."""
        self._answers = answers
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._by_user: Counter[int] = Counter()
        self._rates: dict[int, Rate] = {}
        self._listener = _bound(path, mode)
        self._identity = _identity(path)
        self._stop = StopRequest()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def stop(self) -> None:
        """Ask for the end: from any thread, or a signal handler. Repeating it changes nothing."""
        self._stop.make()

    def run(self) -> None:
        """Serve until `stop`, then let what was asked be answered, within `AgentLimits.stopping`."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._stop, selectors.EVENT_READ)
            while not self._stop.made:
                if any(key.fileobj is self._listener for key, _ in selector.select()):
                    self._accept()
        self._finish()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:
            _log.warning("no connection can be accepted: %s", error.strerror)
            time.sleep(0.1)  # out of descriptors: the connection stays in the queue, and would be offered at once
            return
        try:
            uid = peer_uid(connection)
        except OSError:
            connection.close()
            return
        thread = threading.Thread(target=self._serve, args=(connection, uid), name=f"user {uid}", daemon=True)
        with self._lock:
            full = len(self._open) >= self.limits.connections or self._by_user[uid] >= self.limits.per_user
            if not full:
                self._open[connection] = thread
                self._by_user[uid] += 1
        if full:
            self.turned_away += 1
            connection.close()
            return
        try:
            thread.start()
        except RuntimeError:  # no more threads
            self._forget(connection, uid)

    def _serve(self, connection: socket.socket, uid: int) -> None:
        try:
            self._answer_all(connection, uid)
        except (OSError, NoFrame, QuestionMalformed):
            pass  # whoever does not keep to the protocol is told nothing
        except Exception:  # noqa: BLE001 - one connection, whatever happened in it
            _log.exception("a question could not be answered")
        finally:
            self._forget(connection, uid)

    def _answer_all(self, connection: socket.socket, uid: int) -> None:
        ends = time.monotonic() + self.limits.life
        while not self._stop.made and time.monotonic() < ends:
            question = receive(connection, limit=MAX_QUESTION, until=time.monotonic() + self.limits.idle)
            if question is None or not self._rate(uid).allows(time.monotonic()):
                return
            answer = self._answers.answer(question)
            send(connection, answer, until=time.monotonic() + self.limits.idle)

    def _rate(self, uid: int) -> Rate:
        with self._lock:
            if uid not in self._rates and len(self._rates) >= self.limits.connections * 4:
                self._rates = {known: rate for known, rate in self._rates.items() if self._by_user[known]}
            return self._rates.setdefault(uid, Rate(self.limits.questions))

    def _forget(self, connection: socket.socket, uid: int) -> None:
        connection.close()
        with self._lock:
            self._open.pop(connection, None)
            self._by_user[uid] -= 1
            if self._by_user[uid] <= 0:
                del self._by_user[uid]

    def _finish(self) -> None:
        """Remove the socket, if it is still ours, and wait for those who have asked."""
        with contextlib.suppress(OSError):
            if _identity(self.path) == self._identity:
                self.path.unlink()
        self._listener.close()
        until = time.monotonic() + self.limits.stopping
        with self._lock:
            waiting = list(self._open.items())
        for connection, _ in waiting:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RD)  # who has not asked yet is not waited for
        for _, thread in waiting:
            thread.join(max(0.0, until - time.monotonic()))
        self._stop.close()


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


def _bound(path: Path, mode: int) -> socket.socket:
    """Return a listening socket at the path, with its mode from the first moment on. Raises: SettingsUnusable."""
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise SettingsUnusable(place=str(path), reason=f"is longer than the {_LONGEST_PATH} bytes of a socket's path")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    except FileExistsError as error:
        raise SettingsUnusable(place=str(path.parent), reason="is no folder") from error
    except OSError as error:
        raise SettingsUnusable(place=str(path.parent), reason=error.strerror or type(error).__name__) from error
    unsafe = why_unsafe(str(path), trusted_uids(), socket_itself=False)
    if unsafe is not None:
        raise SettingsUnusable(place=str(path), reason=f"is no safe place for a socket: {unsafe}")
    _remove_abandoned(path)
    temporary = path.with_name(f".{os.getpid()}")  # short: the whole path of a socket has room for 107 bytes
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        listener.bind(str(temporary))
        temporary.chmod(mode)
        listener.listen(_BACKLOG)
        temporary.rename(path)
    except OSError as error:
        listener.close()
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise SettingsUnusable(place=str(path), reason=error.strerror or str(error)) from error
    return listener


def _remove_abandoned(path: Path) -> None:
    """Check that nobody listens at the path, and that it is a socket if it is anything. Raises: SettingsUnusable."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SettingsUnusable(place=str(path), reason="is there, and is no socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
            probe.settimeout(1.0)
            probe.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        return
    except OSError as error:
        raise SettingsUnusable(place=str(path), reason=error.strerror or type(error).__name__) from error
    raise SettingsUnusable(place=str(path), reason="another agent listens there")
