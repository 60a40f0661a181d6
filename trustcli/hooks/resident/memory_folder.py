"""Rollback memory of a resident hook: one small file for each collection, in a folder that no other program uses.

A single file for all of them would be read and written whole at each of many refreshes in a second.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import quote

from keys.record import replace
from trustcli.state.memory import MemoryFile
from trustdata.gun import GUN
from trustdata.verification.rollback_memory import Memory, merge

RECORD_EVERY: Final = timedelta(minutes=10)
"""How old the time of the last refresh may be on disk, where nothing else has changed. After a restart without the
server, data counts as that much older than it is, never as younger.
"""
_LONGEST: Final = 200  # bytes of a file name, as in the cache


class MemoryFolder:
    """A `RollbackStore`, one file for each collection; what one file has lost or refuses concerns no other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, gun: GUN) -> Memory | None:
        """Return the stored memory of the collection, or None. Raises: FileNewer, MemoryDamaged, FileExposed."""
        return self._file(gun).load(gun)

    def remember(self, gun: GUN, memory: Memory) -> None:
        """Merge and store, durably; where only the time of the refresh would change, not every time.

        Raises: RootNotPinned, MemoryUnwritable, MemoryDamaged, FileNewer, FileExposed.
        """
        before = self.load(gun)
        if before is None or self._differs(before, memory):
            self._file(gun).remember(gun, memory)

    def forget(self, gun: GUN) -> None:
        """Delete the memory of the collection. Raises: MemoryUnwritable, MemoryDamaged, FileNewer."""
        self._file(gun).forget(gun)

    def _differs(self, before: Memory, memory: Memory) -> bool:
        if before.root_of_trust != memory.root_of_trust or before.refreshed is None:
            return True
        if replace(merge(before, memory), refreshed=None) != replace(before, refreshed=None):
            return True
        since = (memory.refreshed or before.refreshed) - before.refreshed
        return not timedelta(0) <= since < RECORD_EVERY

    def _file(self, gun: GUN) -> MemoryFile:
        name = quote(gun, safe="")
        if len(name) > _LONGEST:
            name = f"{name[: _LONGEST - 65]}~{hashlib.sha256(name.encode()).hexdigest()}"
        return MemoryFile(self._folder / f"{name}.json")
