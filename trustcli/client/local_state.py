"""What this machine knows of one collection: cache, rollback memory, pins and lock entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from keys.record import record
from trustcli.client.ports import MetadataCache
from trustdata.gun import GUN
from trustdata.lifetimes import MaxLife
from trustdata.verification.lock_entry import SourcedLock
from trustdata.verification.rollback_memory import Memory
from trustdata.verification.trust_pinning import Pin, SourcedPin


class RollbackStore(Protocol):
    """A store of rollback memory, such as `state.memory.MemoryFile`."""

    def load(self, gun: GUN) -> Memory | None:
        """Return the stored memory of the collection, or None. Raises: MemoryDamaged, which names the file."""

    def remember(self, gun: GUN, memory: Memory) -> None:
        """Merge and store, durably.

        Raises: RootNotPinned if another root of trust is stored, MemoryUnwritable, MemoryDamaged.
        """

    def forget(self, gun: GUN) -> None:
        """Delete the memory of the collection. Raises: MemoryUnwritable, MemoryDamaged."""


@record
class Known:
    """What this machine knows of a collection at the start of one refresh.

    `pins`: every pin that is known, in order of precedence. `memory`: rollback memory, None at first contact. `lock`:
    the entry of the project's lock file, which counts as a pin only if there are neither pins nor memory.
    """

    cache: MetadataCache
    pins: Sequence[SourcedPin] = ()
    memory: Memory | None = None
    lock: SourcedLock | None = None


@record
class LocalState:
    """Where this machine reads what it knows of one collection, and where it stores what it has verified.

    `pins`: those of this run, the recorded one included. `max_life`: how long timestamp and snapshot may be valid from
    now on, if somebody has set that; None for the limits of the format. `record_pin`: stores a pin with the way it came
    about (`init`, `tofu`); None stores nothing. `memory_required`: a refresh fails if rollback memory cannot be
    written.
    """

    cache: MetadataCache
    memory: RollbackStore
    pins: Sequence[SourcedPin] = ()
    lock: SourcedLock | None = None
    max_life: MaxLife | None = None
    record_pin: Callable[[Pin, str], None] | None = None
    memory_required: bool = False

    def known(self, gun: GUN, pins: Sequence[SourcedPin]) -> Known:
        """Return what a refresh with these pins starts with. Raises: MemoryDamaged."""
        return Known(cache=self.cache, pins=pins, memory=self.memory.load(gun), lock=self.lock)
