"""Files that survive a crash: the old content or the new one, never a part, never neither.

Used for keys, pins and rollback memory. Failures are `OSError`: what they mean is for the caller to say.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


def write_durably(path: Path, data: bytes, *, mode: int = 0o600, replace: bool = True) -> None:
    """Write a file with exactly this mode; when it returns, the content survives a power failure.

    At every instant the path holds its old content (or nothing, if there was none) or the whole new content. With
    `replace=False` an existing file is left as it is. A failure leaves no temporary file; one that a crash leaves
    (`.RANDOM.tmp`) is never read. The folder must exist.

    Raises: OSError; FileExistsError with `replace=False`.
    """
    with _temporary_beside(path) as temporary:
        _write_new(temporary, data, mode, sync=True)
        if replace:
            os.replace(temporary, path)  # noqa: PTH105 - the crash tests count the calls of `os` one by one
        else:
            _put_as_new(temporary, path)
    sync_folder(path.parent)


def write_atomically(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """As `write_durably`, but for what may be lost: after a power failure the file may be old, new, empty or gone.

    A reader and a killed process still find the old content or the new. Raises: OSError.
    """
    with _temporary_beside(path) as temporary:
        _write_new(temporary, data, mode, sync=False)
        os.replace(temporary, path)  # noqa: PTH105


def sync_folder(folder: Path) -> None:
    """Make names that were made, replaced or removed in a folder survive a power failure. Raises: OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_private_folder(folder: Path) -> None:
    """Make a folder and the missing ones above it, each with mode 0700, durably. Raises: OSError."""
    if folder.is_dir():
        return
    make_private_folder(folder.parent)
    with contextlib.suppress(FileExistsError):  # another process was faster
        os.mkdir(folder, 0o700)  # noqa: PTH102
        sync_folder(folder.parent)
    if not folder.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(folder))


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the exclusive lock that belongs to `path`, among processes and threads; waits for it without limit.

    The lock is on a file beside it (`.NAME.lock`, mode 0600), since `write_durably` puts a new file in the
    place of the old. The kernel releases it when its holder dies. The folder must exist. Raises: OSError.
    """
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _temporary_beside(path: Path) -> Iterator[Path]:
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        yield temporary
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def _put_as_new(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)  # fails if there is a file: the only rename that never overwrites
    except FileExistsError:
        raise
    except OSError:
        # No hard links here (FAT on a memory stick): reserve the name. A crash in between leaves an empty file.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        os.replace(temporary, path)  # noqa: PTH105
    else:
        os.unlink(temporary)  # noqa: PTH108


def _write_new(path: Path, data: bytes, mode: int, *, sync: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        os.fchmod(descriptor, mode)  # the process's umask may have taken bits away
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
