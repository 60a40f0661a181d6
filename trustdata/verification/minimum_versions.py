"""The lowest version of each role that is accepted: the higher one of rollback memory and lock file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from keys.record import record
from trustdata.envelope import Envelope
from trustdata.roles import RoleName
from trustdata.verification.checks import check_not_older
from trustdata.verification.rollback_memory import Memory, OnlineKeys

if TYPE_CHECKING:
    from trustdata.verification.lock_entry import SourcedLock


@record
class MinimumVersion:
    """The lowest accepted version of a role. `source`: how the sentence "older than version N, ..." ends."""

    version: int
    source: str


def lowest_accepted(
    *, memory: Memory | None, lock: SourcedLock | None, chain: Sequence[Envelope]
) -> Mapping[RoleName, MinimumVersion]:
    """Return the lowest accepted version of each role at the end of the verified root chain.

    The rollback memory and the lock file are combined: of two versions the higher one counts.
    """
    minimums: dict[RoleName, MinimumVersion] = {}
    if memory is not None:
        for role, version in memory.minimum_versions(OnlineKeys.of_newest(root.root for root in chain)).items():
            minimums[role] = MinimumVersion(version=version, source="seen before")
    if lock is not None:
        for role, version in lock.entry.minimum_versions(chain).items():
            if role not in minimums or minimums[role].version < version:
                minimums[role] = MinimumVersion(version=version, source=f"locked in {lock.source}")
    return minimums


def check_minimum_versions(
    versions: Mapping[RoleName, int], minimums: Mapping[RoleName, MinimumVersion], roles: Iterable[RoleName]
) -> None:
    """Check that none of `roles` is missing or older than its minimum version.

    `minimums`: from the rollback memory and the lock file. Raises: VersionRollback.
    """
    for role in roles:
        if role in minimums:
            check_not_older(role, versions.get(role, 0), minimums[role].version, minimums[role].source)
