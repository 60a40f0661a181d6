"""What this machine knows of one collection: cache, rollback memory, pins and lock entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from trustcli.client.ports import MetadataCache
from trustdata.gun import GUN
from trustdata.verification.lock_entry import SourcedLock
from trustdata.verification.rollback_memory import Memory
from trustdata.verification.trust_pinning import Pin, SourcedPin


class RollbackStore(Protocol):
    """Where rollback memory is kept (`state.memory.MemoryFile`)."""

    def load(self, gun: GUN) -> Memory | None:
        """Return what is remembered, or None. Raises: MemoryDamaged naming the file."""

    def remember(self, gun: GUN, memory: Memory) -> None:
        """Merge and store, durably. Raises: MemoryUnwritable; RootNotPinned if another root of trust is known."""

    def forget(self, gun: GUN) -> None:
        """Drop what is remembered. Raises: MemoryUnwritable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What one refresh starts from.

    `pins`: all that is known of where trust begins, in the order in which it counts. `memory`: rollback memory, None on
    first contact. `lock`: what the project's lock file has of the name; a pin only if there is neither of the two.
    """

    cache: MetadataCache
    pins: Sequence[SourcedPin] = ()
    memory: Memory | None = None
    lock: SourcedLock | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalState:
    """Where what is known of one collection is read, and where what was verified is kept.

    `pins`: those of this invocation, the recorded one included. `record_pin`: keeps a fingerprint for good, with a word
    for how it came about; None: nothing is kept. `memory_required`: a refresh whose memory cannot be written fails.
    """

    cache: MetadataCache
    memory: RollbackStore
    pins: Sequence[SourcedPin] = ()
    lock: SourcedLock | None = None
    record_pin: Callable[[Pin, str], None] | None = None
    memory_required: bool = False

    def known(self, gun: GUN, pins: Sequence[SourcedPin]) -> Known:
        """Return what a refresh with these pins starts from. Raises: MemoryDamaged."""
        return Known(cache=self.cache, pins=pins, memory=self.memory.load(gun), lock=self.lock)
