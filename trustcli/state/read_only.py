"""Local state that can be read and is never written: for plans and for `trust doctor`."""

from __future__ import annotations

from typing import Protocol

from trustdata.gun import GUN
from trustdata.verification.rollback_memory import Memory


class _MemoryReader(Protocol):
    def load(self, gun: GUN) -> Memory | None: ...


class ReadOnlyMemory:
    """Rollback memory that protects as usual and is never changed."""

    def __init__(self, below: _MemoryReader) -> None:
        self._below = below

    def load(self, gun: GUN) -> Memory | None:
        """Return the memory of the collection, or None. Raises: MemoryDamaged."""
        return self._below.load(gun)

    def remember(self, gun: GUN, memory: Memory) -> None:
        """Do nothing: this memory is read-only."""

    def forget(self, gun: GUN) -> None:
        """Do nothing: this memory is read-only."""
