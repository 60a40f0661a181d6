"""Write files so that a crash leaves either the whole old content or the whole new content.

Used for keys, pins and rollback memory. Failures are raised as `OSError`, which the callers turn into their own errors.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


def write_durably(path: Path, data: bytes, *, mode: int = 0o600, replace: bool = True) -> None:
    """Write a file with this mode. When the function returns, the content survives a power failure.

    At every moment the path holds the whole old content (nothing, if there was no file) or the whole new content. With
    `replace=False` an existing file is not changed. After an error no temporary file remains. After a crash one may
    remain (`.RANDOM.tmp`), which nothing reads. The folder must exist.

    Raises: OSError; FileExistsError if the file exists and `replace` is false.
    """
    with _temporary_beside(path) as temporary:
        _write_new(temporary, data, mode, sync=True)
        if replace:
            os.replace(temporary, path)  # noqa: PTH105 - the crash tests count each call of `os`
        else:
            _move_without_replacing(temporary, path)
    sync_folder(path.parent)


def write_atomically(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file atomically but without syncing: after a power failure it may be old, new, empty or missing.

    Faster than `write_durably`. Readers always see the whole old or the whole new content, also after this process was
    killed. Raises: OSError.
    """
    with _temporary_beside(path) as temporary:
        _write_new(temporary, data, mode, sync=False)
        os.replace(temporary, path)  # noqa: PTH105


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that created, replaced and removed names survive a power failure. Raises: OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_private_folder(folder: Path) -> None:
    """Make a folder and its missing parents, each with mode 0700, durably. Raises: OSError."""
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
    """Hold an exclusive lock for `path`, among processes and threads. Wait for it without a time limit.

    The lock is taken on a separate file (`.NAME.lock`, mode 0600), because `write_durably` replaces the file itself.
    The kernel releases the lock when the process ends. The folder must exist. Raises: OSError.
    """
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
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


def _move_without_replacing(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)  # fails if the file exists; a rename would overwrite it
    except FileExistsError:
        raise
    except OSError:
        # The file system has no hard links (FAT on a memory stick): reserve the name first. A crash between the two
        # steps leaves an empty file.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        os.replace(temporary, path)  # noqa: PTH105
    else:
        os.unlink(temporary)  # noqa: PTH108


def _write_new(path: Path, data: bytes, mode: int, *, sync: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        os.fchmod(descriptor, mode)  # the umask of the process may have removed bits
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
