"""Who may change or read a file besides its user: one rule for keys, pins, rollback memory, policies and secrets.

A file is *guarded* if nobody but its user and root may change it: both own the file and its folder alone, and neither
group nor others may write to them. It is *private* if, in addition, group and others may not read it. Root may always;
a folder with the sticky bit lets nobody replace the files of somebody else (docs/adr/0048).

Container platforms mount secrets that others in the container may read: an exposure that the user of the program cannot
put right, and that matters little where nobody else is. Such a file is as good as a private one if it is named by the
user and lies in memory, or if the user says that the platform has mounted it (docs/adr/0048).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from keys.errors import KeyFileMissing, KeyFileUnreadable

from keys.record import record, replace

_ROOT: Final = 0
_NOBODY: Final = 65534
"""Owns what a platform mounts into a container whose users are others than the host's."""
_IN_MEMORY: Final = frozenset({0x01021994, 0x858458F6})
"""The types tmpfs and ramfs, as `struct statfs` says them."""
_STATFS_BYTES: Final = 256
_PLATFORM_LINK: Final = "..data"
"""The link by which Kubernetes replaces all files of a volume at once."""
_ANY_FILE: Final = "any"
FOR_PLATFORMS: Final = "--platform-secrets"
_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_ANYTHING: Final = stat.S_IRWXG | stat.S_IRWXO
_MAX_STEPS: Final = 41
"""A path, and what each of the 40 links leads to that the kernel follows."""


@record
class Exposure:
    """What gives others access to a file. `path`: the file, or the folder that it lies in. `mode`: octal text.

    `owner`: the other user to whom it belongs; None if the mode is what is wrong. `what`: what others may do, in the
    passive. `wanted`: the argument of chmod that puts the mode right. `by_platform`: a container platform has mounted
    it, so that chmod does not help.
    """

    path: str
    mode: str
    owner: int | None
    what: str
    wanted: str
    by_platform: bool = False

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
        """What puts it right: a command, or a setting of the platform that has mounted it."""
        if self.by_platform and self.wanted == "go-w":
            setting = "set fsGroupChangePolicy: OnRootMismatch in Kubernetes"
            return f"{setting}, or use a folder of your own in it (trust {FOR_PLATFORMS} makes one)"
        if self.by_platform:
            return f"set defaultMode: 0400 in Kubernetes (mode 0400 elsewhere), or give {FOR_PLATFORMS}"
        if self.owner is not None:
            return f"chown -h {os.geteuid()} {self.path} (or run this as user {self.owner})"
        return f"chmod {self.wanted} {self.path}"

    @property
    def refusal(self) -> str:
        """The reason and the remedy, as words that follow the path."""
        return f"{self.reason}; {'' if self.by_platform else 'run '}{self.remedy}"


def unguarded(
    path: Path,
    status: os.stat_result | None = None,
    *,
    folder_is_its_own: bool = False,
    owners: frozenset[int] = frozenset(),
) -> Exposure | None:
    """Return what lets others change a file, or put another one in its place; None if nothing does.

    `status`: of the file as it was opened; None if there is none, or if it is to be looked up here. A file that is not
    there is as good as its folder. Of a symbolic link, the folder of the link counts, and that of the file; if it leads
    to another link, the folder of that one, too, and no link may be somebody else's. `folder_is_its_own`: further files
    are looked for there by their names, so the sticky bit is no help: whoever may write to the folder may put one
    there. `owners`: ids of further users to whom file, folder and links may belong. Raises: OSError.
    """
    if status is None:
        try:
            status = path.stat()
        except FileNotFoundError:
            status = None
    if status is not None:
        if _was_handed_over(status):
            return None
        found = _exposure(str(path), status, _WRITE, "may be changed", "go-w", owners=owners)
        if found is not None:
            return found
    for step in _way(path):
        found = _misleading(step, folder_is_its_own=folder_is_its_own, owners=owners)
        if found is not None:
            return found
    return None


def open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting for anybody, as the opener of `open`: a pipe with a name has perhaps no writer.

    With an opener what turns out to be a folder is closed; of a descriptor that it is given, `open` leaves that to
    others, and programs that stay would have one more for each time that they look. Raises: OSError.
    """
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def is_named_pipe(status: os.stat_result) -> bool:
    """Return whether it is a pipe that has a name in a file system; that of a shell's `<(...)` has none."""
    if not stat.S_ISFIFO(status.st_mode):
        return False
    ends = os.pipe()  # what has no name lies on the kernel's own device
    try:
        return status.st_dev != os.fstat(ends[0]).st_dev
    finally:
        for end in ends:
            os.close(end)


def _was_handed_over(status: os.stat_result) -> bool:
    """Return whether it is a terminal or a pipe of whoever has started this process, and no file."""
    return not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode) or is_named_pipe(status))


def _way(path: Path) -> Iterator[Path]:
    """Return the path itself, what it leads to if it is a symbolic link, and so on until the file. Raises: OSError."""
    for _ in range(_MAX_STEPS):
        yield path
        if not path.is_symlink():
            return
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def _misleading(path: Path, *, folder_is_its_own: bool, owners: frozenset[int]) -> Exposure | None:
    """Return what lets others put something else in the place of a file or link.

    A link must not be somebody else's, be it to the file or to its folder: where there is none, the sticky bit lets
    anybody put one.
    """
    for link in (path, path.parent):
        if link.is_symlink():
            found = _exposure(str(link), link.lstat(), 0, "may be changed", "", owners=owners)
            if found is not None:
                return found
    try:
        status = path.parent.stat()
    except FileNotFoundError:
        return None  # then there is no file either
    what = "has files that may be replaced"
    found = _exposure(str(path.parent), status, _WRITE, what, "go-w", sticky_helps=not folder_is_its_own, owners=owners)
    return found and replace(found, by_platform=_is_mounted_folder(status))


def _is_mounted_folder(status: os.stat_result) -> bool:
    """Return whether a folder is one that platforms mount, with a mode that its user cannot change for good.

    It is root's and the program runs as another user; or it belongs to a group that its files get (fsGroup).
    """
    return status.st_uid in {_ROOT, _NOBODY} and (os.geteuid() != _ROOT or bool(status.st_mode & stat.S_ISGID))


def not_private(path: Path, status: os.stat_result, *, group_may_read: bool = False) -> Exposure | None:
    """Return what lets others read or change a file or folder with a secret; None if nothing does.

    `status`: of the file as it was opened. `group_may_read`: container platforms mount secrets for a group.
    """
    if _was_handed_over(status):
        return None
    forbidden = _ANYTHING & ~(stat.S_IRGRP if group_may_read else 0)
    wanted = "700" if stat.S_ISDIR(status.st_mode) else "600"
    return _exposure(str(path), status, forbidden, "may be read or changed", wanted)


def exposed_secret(
    path: Path, descriptor: int, *, platform_secrets: bool = False, group_may_read: bool = False
) -> Exposure | None:
    """Return what lets others read or change a file with a secret that the user has named; None if nothing does.

    Others may read it if it lies in memory and belongs to root or nobody, or wherever it lies if `platform_secrets` is
    given; they must not be able to change it. `descriptor`: of the open file. `group_may_read`: for the
    server's seal key, which platforms mount for a group; not for key files. Raises: OSError.
    """
    status = os.fstat(descriptor)
    found = not_private(path, status, group_may_read=group_may_read)
    if found is None:
        return None
    mounted = status.st_uid in {_ROOT, _NOBODY} and _lies_in_memory(descriptor)
    if mounted or platform_secrets:
        return unguarded(path, status, owners=frozenset({_NOBODY}))
    by_platform = (
        any(_PLATFORM_LINK in step.parts for step in _way(path))
        or (status.st_uid in {_ROOT, _NOBODY} and os.geteuid() != _ROOT)
        or bool(os.fstatvfs(descriptor).f_flag & os.ST_RDONLY)
    )
    return replace(found, by_platform=by_platform)


def changeable_secret(path: Path, descriptor: int) -> Exposure | None:
    """Return what lets others change a file with a secret that everybody may read; None if nothing does.

    In memory it may belong to nobody, too. `descriptor`: of the open file. Raises: OSError.
    """
    status = os.fstat(descriptor)
    mounted = status.st_uid == _NOBODY and _lies_in_memory(descriptor)
    return unguarded(path, status, owners=frozenset({_NOBODY} if mounted else ()))


def own_folder(folder: Path) -> Path:
    """Return the folder to use for one that a platform has mounted: itself, or a folder of our own in it.

    Raises: OSError.
    """
    return folder if unguarded(folder / _ANY_FILE, folder_is_its_own=True) is None else folder / "content-trust"


def _lies_in_memory(descriptor: int) -> bool:
    """Return whether an open file lies on tmpfs or ramfs, where container platforms keep secrets."""
    import ctypes  # only for a file that others may read: start-up time

    answer = (ctypes.c_long * (_STATFS_BYTES // ctypes.sizeof(ctypes.c_long)))()
    if ctypes.CDLL(None).fstatfs(descriptor, ctypes.byref(answer)) != 0:
        return False
    return answer[0] & 0xFFFFFFFF in _IN_MEMORY


def key_file_error(path: Path, error: OSError) -> KeyFileMissing | KeyFileUnreadable:
    """Return the error for a file with a key, which the user named, and which could not be opened or read."""
    from keys.errors import KeyFileMissing, KeyFileUnreadable

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
    path: str,
    status: os.stat_result,
    forbidden: int,
    what: str,
    wanted: str,
    *,
    sticky_helps: bool = False,
    owners: frozenset[int] = frozenset(),
) -> Exposure | None:
    foreign = status.st_uid not in {_ROOT, os.geteuid()} | owners
    sticky = sticky_helps and status.st_mode & stat.S_ISVTX
    if not foreign and (sticky or not status.st_mode & forbidden):
        return None
    mode = f"{stat.S_IMODE(status.st_mode):o}"
    return Exposure(path=path, mode=mode, owner=status.st_uid if foreign else None, what=what, wanted=wanted)
