"""A lock file, so that only one server at a time uses a data folder or a database.

The lock is the kernel's (flock(2)) and ends with the process, even if that is killed. The content of the file only
tells people who holds the lock: damaged or outdated content keeps no server from starting.

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

from keys.rfc3339 import to_rfc3339
from trustserver.errors import ServerRunning, StartRefused

_MAX_FILE: Final = 4096  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The process that holds a lock. `since`: RFC 3339, UTC; `listen`: its address, or the command that it runs."""

    pid: int
    host: str
    since: str
    listen: str

    @classmethod
    def this_process(cls, *, at: datetime, listen: str) -> Holder:
        return cls(pid=os.getpid(), host=socket.gethostname(), since=to_rfc3339(at), listen=listen)


class ServerLock:
    """A lock that this process holds."""

    def __init__(self, descriptor: int, crashed_holder: Holder | None) -> None:
        self._descriptor = descriptor
        self.crashed_holder = crashed_holder
        """The holder before this one, if it did not stop properly; None if it did, or if there was none."""

    def write_holder(self, holder: Holder) -> None:
        """Write the holder into the file. If the disk is full nothing is written; the lock is held all the same."""
        content = json.dumps(asdict(holder)).encode() + b"\n"
        with contextlib.suppress(OSError):
            # Overwritten first, then truncated: another process that reads it in between finds the old content, the
            # new content, or at worst something that cannot be parsed.
            os.pwrite(self._descriptor, content, 0)
            os.ftruncate(self._descriptor, len(content))

    def clear(self) -> None:
        """Empty the file: the holder stops properly."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)


@contextmanager
def hold(path: Path, *, what: str) -> Iterator[ServerLock]:
    """Lock the file at `path` until the end of the block. The file is made if it is not there.

    `what`: the folder or database that the lock protects, for the error's sentence. Raises: ServerRunning (another
    process holds the lock), StartRefused (the file cannot be opened or locked).
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
    """Return the holder that the file names; None if the file is empty or damaged."""
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
