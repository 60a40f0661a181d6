"""One server at a time on a folder or database: a locked file that says who holds it.

The lock is the kernel's (flock) and ends with the process, however that ends. What stands in the file is for people: a
file that is damaged, or names somebody who is gone, changes nothing about who may start.

    {"pid": 4711, "host": "web-1", "since": "2026-11-22T00:10:12Z", "listen": "https://127.0.0.1:4443"}
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from trustserver.errors import ServerRunning, StartRefused

_MAX_FILE: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a lock. `since`: RFC 3339, UTC; `listen`: the address, or the command that runs."""

    pid: int
    host: str
    since: str
    listen: str

    @classmethod
    def this_process(cls, *, at: datetime, listen: str) -> Holder:
        return cls(pid=os.getpid(), host=socket.gethostname(), since=at.strftime("%Y-%m-%dT%H:%M:%SZ"), listen=listen)


class ServerLock:
    """A lock that is held."""

    def __init__(self, descriptor: int, crashed_holder: Holder | None) -> None:
        self._descriptor = descriptor
        self.crashed_holder = crashed_holder
        """Who held the lock before and did not end in order."""

    def write_holder(self, holder: Holder) -> None:
        """Say who holds it. On a full disk nothing is said: the lock holds all the same."""
        content = json.dumps(asdict(holder)).encode() + b"\n"
        with contextlib.suppress(OSError):
            # Written over, then cut: whoever reads meanwhile finds the old or the new, or at worst neither.
            os.pwrite(self._descriptor, content, 0)
            os.ftruncate(self._descriptor, len(content))

    def clear(self) -> None:
        """Say that nobody holds it any more."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)


@contextmanager
def hold(path: Path, *, what: str) -> Iterator[ServerLock]:
    """Hold the lock file at `path`, made if need be, until the end of the block.

    `what` is guarded by it: a word for the refusal. Raises: ServerRunning, StartRefused.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StartRefused(what=str(path), reason=f"cannot be opened: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _running(what, _read(descriptor)) from error
        except OSError as error:
            raise StartRefused(what=str(path), reason=f"cannot be locked: {error.strerror}") from error
        lock = ServerLock(descriptor, _read(descriptor))
        try:
            yield lock
        finally:
            lock.clear()
    finally:
        os.close(descriptor)


def _running(what: str, holder: Holder | None) -> ServerRunning:
    if holder is None:
        return ServerRunning(what=what)
    return ServerRunning(
        what=what,
        pid=holder.pid,
        host=holder.host,
        since=holder.since,
        listen=holder.listen,
        visible=holder.host != socket.gethostname() or _exists(holder.pid),
    )


def _read(descriptor: int) -> Holder | None:
    """What the file says, or None where it says nothing that can be understood."""
    try:
        content = json.loads(os.pread(descriptor, _MAX_FILE, 0))
        holder = Holder(**content)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    texts = (holder.host, holder.since, holder.listen)
    if type(holder.pid) is not int or holder.pid < 1 or not all(isinstance(text, str) for text in texts):
        return None
    return holder


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
