"""Local state that is looked at and left as it is: for plans, which write nothing."""

from __future__ import annotations

from typing import Protocol

from trustdata.gun import GUN
from trustdata.verification.rollback_memory import Memory


class _Known(Protocol):
    def load(self, gun: GUN) -> Memory | None: ...


class ReadOnlyMemory:
    """Rollback memory that counts, and learns nothing."""

    def __init__(self, below: _Known) -> None:
        self._below = below

    def load(self, gun: GUN) -> Memory | None:
        """Raises: MemoryDamaged."""
        return self._below.load(gun)

    def remember(self, gun: GUN, memory: Memory) -> None:
        """Nothing is kept."""

    def forget(self, gun: GUN) -> None:
        """Nothing is changed."""
