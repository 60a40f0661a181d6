"""The lowest versions that may still be accepted: of rollback memory and of the lock the higher one counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trustdata.envelope import Envelope
from trustdata.roles import RoleName
from trustdata.verification.lock_entry import SourcedLock
from trustdata.verification.rollback_memory import Memory, OnlineKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class MinimumVersion:
    """`source` ends the sentence "older than version N, ..."."""

    version: int
    source: str


def lowest_accepted(
    *, memory: Memory | None, lock: SourcedLock | None, chain: Sequence[Envelope]
) -> Mapping[RoleName, MinimumVersion]:
    """The floor of each role at the end of the verified root chain. Neither source lowers what the other one knows."""
    floors: dict[RoleName, MinimumVersion] = {}
    if memory is not None:
        for role, version in memory.minimum_versions(OnlineKeys.of(chain[-1].root)).items():
            floors[role] = MinimumVersion(version=version, source="seen before")
    if lock is not None:
        for role, version in lock.entry.minimum_versions(chain).items():
            if role not in floors or floors[role].version < version:
                floors[role] = MinimumVersion(version=version, source=f"locked in {lock.source}")
    return floors
