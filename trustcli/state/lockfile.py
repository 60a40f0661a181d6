"""Read and replace the project's lock file, `trust.lock`, which is kept in version control."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from keys.durable_file import write_durably
from keys.file_access import open_at_once
from trustdata.errors import LockDamaged, NotStored
from trustdata.gun import GUN
from trustdata.verification.lock_document import read_lock, write_lock
from trustdata.verification.lock_entry import LockEntry

MAX_LOCK_FILE: Final = 16 * 1024 * 1024
"""Largest accepted size in bytes; enough for about 20 000 collections."""


class LockFile:
    """One lock file. `replace` fails if another process has changed the file since `load`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: bytes | None = None

    def load(self) -> dict[GUN, LockEntry] | None:
        """Return all entries, sorted by name, or None if there is no file. Raises: LockDamaged, FileNewer."""
        self._read = self._content()
        if self._read is None:
            return None
        return read_lock(self._read, path=str(self.path))

    def replace(self, entries: Mapping[GUN, LockEntry]) -> None:
        """Write the whole file anew, durably, readable for everybody. Call `load` first.

        Raises: NotStored (cannot be written, or changed since `load`), LockDamaged.
        """
        if self._content() != self._read:
            raise NotStored(reason=f"{self.path} was changed meanwhile; run the same command again")
        content = write_lock(entries)
        try:
            write_durably(self.path, content, mode=0o644)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise NotStored(reason=f"{self.path} cannot be written: {reason}") from error
        self._read = content

    def _content(self) -> bytes | None:
        try:
            with open(self.path, "rb", opener=open_at_once) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise LockDamaged(path=str(self.path), line=0, reason="is no file")
                raw = file.read(MAX_LOCK_FILE + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LockDamaged(path=str(self.path), line=0, reason=error.strerror or type(error).__name__) from error
        if len(raw) > MAX_LOCK_FILE:
            raise LockDamaged(path=str(self.path), line=0, reason=f"is larger than {MAX_LOCK_FILE} bytes")
        return raw
