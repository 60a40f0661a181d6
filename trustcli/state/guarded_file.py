"""A small state file that several processes change: read, decide, write back, under one lock, durably."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from keys.durable_file import file_lock, make_private_folder, write_durably
from trustdata.errors import MemoryUnwritable

MAX_STATE_FILE: Final = 64 * 1024 * 1024
"""Bytes; some 50 000 collections."""


class GuardedFile:
    """One file. Readers take no lock: they find the content before a change or after it, never a part."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> bytes | None:
        """The content, or None if there is no file. Raises: OSError for anything else than absence."""
        try:
            with self.path.open("rb") as file:
                raw = file.read(MAX_STATE_FILE + 1)
        except FileNotFoundError:
            return None
        if len(raw) > MAX_STATE_FILE:
            raise OSError(27, f"larger than {MAX_STATE_FILE} bytes")
        return raw

    def change(self, decide: Callable[[], bytes | None]) -> None:
        """Call `decide` under the lock (it reads and gives the new content, None for no change); durable on return.

        What `decide` raises passes through, and nothing is written. Raises: MemoryUnwritable.
        """
        try:
            make_private_folder(self.path.parent)
            with file_lock(self.path):
                content = decide()
                if content is not None:
                    write_durably(self.path, content)
        except OSError as error:
            raise MemoryUnwritable(path=str(self.path), reason=error.strerror or type(error).__name__) from error
