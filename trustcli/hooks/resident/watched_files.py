"""Notice that a file was changed, replaced, removed or made, by what the system says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

Stamp: TypeAlias = tuple[int, ...]
"""Device, inode, size and times of a file; one number, the error, if there is none to be seen."""


def stamps_of(files: Iterable[Path]) -> Mapping[Path, Stamp]:
    """Return the present stamp of each file. Take it before reading: what changes meanwhile is noticed then."""
    return {file: _stamp(file) for file in files}


def is_changed(file: Path, stamp: Stamp) -> bool:
    """Return whether a file is another one than when its stamp was taken, or has become one."""
    return _stamp(file) != stamp


def _stamp(file: Path) -> Stamp:
    try:
        status = file.stat()
    except OSError as error:
        return (error.errno or 0,)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode
