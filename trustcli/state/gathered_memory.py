"""Rollback memory for a run over many collections: what is verified is gathered, and stored for many at a time.

`seen.json` holds all collections and is replaced as a whole: written after each of some thousand, it takes longer than
all else together. A run that only reports gathers, and stores before it tells what it has found. Until then each
collection is judged by what was stored when the run began.
"""

from __future__ import annotations

from typing import Final

from trustcli.state.memory import MemoryFile, merged
from trustdata.gun import GUN
from trustdata.verification.rollback_memory import Memory

MOST: Final = 1000
"""So many collections are verified again by whoever is interrupted."""


class GatheredMemory:
    """A `RollbackStore` of one thread that stores late: `store` is to be called before anything is told."""

    def __init__(self, stored: MemoryFile, *, most: int = MOST) -> None:
        self._stored = stored
        self._most = most
        self._known = stored.snapshot()
        self._new: dict[GUN, Memory] = {}

    def load(self, gun: GUN) -> Memory | None:
        """Return the memory of the collection; None if there is none. Raises: MemoryDamaged, which names the file."""
        return self._new.get(gun) or self._known(gun)

    def remember(self, gun: GUN, memory: Memory) -> None:
        """Take what was verified; store it if enough has come together. Raises: as `MemoryFile.remember`."""
        self._new[gun] = merged(gun, self.load(gun), memory)
        if len(self._new) >= self._most:
            self.store()

    def forget(self, gun: GUN) -> None:
        """Delete the memory of the collection. Raises: as `MemoryFile.forget`."""
        self._new.pop(gun, None)
        self._stored.forget(gun)
        self._known = self._stored.snapshot()

    def store(self) -> None:
        """Store what was gathered, durably. Raises: as `MemoryFile.remember`."""
        new, self._new = self._new, {}
        self._stored.remember_all(new)
        self._known = self._stored.snapshot()
