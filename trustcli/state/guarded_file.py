"""A small state file that several processes may change: read, decide and write under one file lock, durably."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from keys.durable_file import file_lock, make_private_folder, write_durably
from trustcli.errors import MemoryUnwritable
from trustcli.guarded_files import check_guarded, read_guarded

MAX_STATE_FILE: Final = 64 * 1024 * 1024
"""Largest accepted size in bytes; enough for about 50 000 collections."""


class GuardedFile:
    """One state file, of this user alone.

    Readers take no lock, since each write replaces the file: they read the old or the new content.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> bytes | None:
        """Return the content, or None if there is no file.

        Raises: FileExposed, also if there is no file and others may put one there; OSError if the file exists and
        cannot be read.
        """
        try:
            return read_guarded(self.path, limit=MAX_STATE_FILE)
        except FileNotFoundError:
            check_guarded(self.path)
            return None

    def change(self, decide: Callable[[], bytes | None]) -> None:
        """Call `decide` under the file's lock and store what it returns; None changes nothing. Durable on return.

        An error of `decide` is raised unchanged, and nothing is written. Raises: MemoryUnwritable, FileExposed.
        """
        try:
            make_private_folder(self.path.parent)
            check_guarded(self.path)
            with file_lock(self.path):
                content = decide()
                if content is not None:
                    write_durably(self.path, content)
        except OSError as error:
            raise MemoryUnwritable(path=str(self.path), reason=error.strerror or type(error).__name__) from error
