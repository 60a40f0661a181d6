"""Who may change or read a file besides its user: one rule for keys, pins, rollback memory, policies and secrets.

A file is *guarded* if nobody but its user and root may change it: both own the file and its folder alone, and neither
group nor others may write to them. It is *private* if, in addition, group and others may not read it. Root may always;
a folder with the sticky bit lets nobody replace the files of somebody else (docs/adr/0048).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from keys.errors import KeyFileMissing, KeyFileUnreadable
from keys.record import record

_ROOT: Final = 0
_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_ANYTHING: Final = stat.S_IRWXG | stat.S_IRWXO
_MAX_STEPS: Final = 41
"""A path, and what each of the 40 links leads to that the kernel follows."""


@record
class Exposure:
    """What gives others access to a file. `path`: the file, or the folder that it lies in. `mode`: octal text.

    `owner`: the other user to whom it belongs; None if the mode is what is wrong. `what`: what others may do, in the
    passive. `wanted`: the argument of chmod that puts the mode right.
    """

    path: str
    mode: str
    owner: int | None
    what: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.path} {self.reason}"

    @property
    def reason(self) -> str:
        """What is wrong, as words that follow the path."""
        if self.owner is not None:
            return f"belongs to user {self.owner}, so it {self.what} by that user"
        return f"has mode {self.mode}, so it {self.what} by others"

    @property
    def remedy(self) -> str:
        """The command that puts it right."""
        if self.owner is not None:
            return f"chown -h {os.geteuid()} {self.path} (or run this as user {self.owner})"
        return f"chmod {self.wanted} {self.path}"


def unguarded(path: Path, status: os.stat_result | None = None, *, folder_is_its_own: bool = False) -> Exposure | None:
    """Return what lets others change a file, or put another one in its place; None if nothing does.

    `status`: of the file as it was opened; None if there is none, or if it is to be looked up here. A file that is not
    there is as good as its folder. Of a symbolic link, the folder of the link counts, and that of the file; if it leads
    to another link, the folder of that one, too, and no link may be somebody else's. `folder_is_its_own`: further files
    are looked for there by their names, so the sticky bit is no help: whoever may write to the folder may put one
    there. Raises: OSError.
    """
    if status is None:
        try:
            status = path.stat()
        except FileNotFoundError:
            status = None
    if status is not None:
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            return None  # a pipe or a terminal, which somebody has handed to this process
        found = _exposure(str(path), status, _WRITE, "may be changed", "go-w")
        if found is not None:
            return found
    for step in _way(path):
        found = _misleading(step, folder_is_its_own=folder_is_its_own)
        if found is not None:
            return found
    return None


def _way(path: Path) -> Iterator[Path]:
    """Return the path itself, what it leads to if it is a symbolic link, and so on until the file. Raises: OSError."""
    for _ in range(_MAX_STEPS):
        yield path
        if not path.is_symlink():
            return
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def _misleading(path: Path, *, folder_is_its_own: bool) -> Exposure | None:
    """Return what lets others put something else in the place of a file or link.

    A link must not be somebody else's: where there is no file, the sticky bit lets anybody put a link.
    """
    if path.is_symlink():
        found = _exposure(str(path), path.lstat(), 0, "may be changed", "")
        if found is not None:
            return found
    try:
        status = path.parent.stat()
    except FileNotFoundError:
        return None  # then there is no file either
    what = "has files that may be replaced"
    return _exposure(str(path.parent), status, _WRITE, what, "go-w", sticky_helps=not folder_is_its_own)


def not_private(path: Path, status: os.stat_result, *, group_may_read: bool = False) -> Exposure | None:
    """Return what lets others read or change a file or folder with a secret; None if nothing does.

    `status`: of the file as it was opened. `group_may_read`: container platforms mount secrets for a group.
    """
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return None
    forbidden = _ANYTHING & ~(stat.S_IRGRP if group_may_read else 0)
    wanted = "700" if stat.S_ISDIR(status.st_mode) else "600"
    return _exposure(str(path), status, forbidden, "may be read or changed", wanted)


def key_file_error(path: Path, error: OSError) -> KeyFileMissing | KeyFileUnreadable:
    """Return the error for a file with a key, which the user named, and which could not be opened or read."""
    if isinstance(error, FileNotFoundError):
        return KeyFileMissing(key=str(path))
    return KeyFileUnreadable(place=str(path), reason=error.strerror or type(error).__name__)


def read_at_most(descriptor: int, limit: int) -> bytes:
    """Read to the end, or to one byte more than `limit`, so that a larger content is noticed. Raises: OSError."""
    content = b""
    while len(content) <= limit:
        part = os.read(descriptor, limit + 1 - len(content))
        if not part:
            break
        content += part
    return content


def _exposure(
    path: str, status: os.stat_result, forbidden: int, what: str, wanted: str, *, sticky_helps: bool = False
) -> Exposure | None:
    foreign = status.st_uid not in {_ROOT, os.geteuid()}
    sticky = sticky_helps and status.st_mode & stat.S_ISVTX
    if not foreign and (sticky or not status.st_mode & forbidden):
        return None
    mode = f"{stat.S_IMODE(status.st_mode):o}"
    return Exposure(path=path, mode=mode, owner=status.st_uid if foreign else None, what=what, wanted=wanted)
