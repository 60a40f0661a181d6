"""How far a collection may grow. Signers find a bound; what its owner does to mend, shrink or renew it never does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from trustdata.envelope import Envelope
from trustdata.errors import TooLarge
from trustdata.limits import MAX_TARGETS
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, RoleName
from trustdata.verification.candidate_set import Candidate
from trustdata.wire import WireFormat

MAX_COLLECTION: Final = 32 * 1024 * 1024
"""Bytes of the newest root, targets and delegations together; parsed they take about twelve times as much memory."""
SNAPSHOT_RESERVE: Final = 128 * 1024
"""Bytes of a snapshot that new roles leave free: versions and lengths of the old ones still take more digits."""
_OWNERS: Final = frozenset({ROOT, TARGETS, RELEASES})
"""Bounded each by its own limit alone: whoever fills up a collection must not keep its owner from removing him."""


def check_collection_size(stored: Mapping[RoleName, Envelope], candidate: Candidate, wire: WireFormat) -> None:
    """Refuse signers' roles that grow beyond the bound of the whole. Raises: TooLarge.

    Where a file may be larger than TUF's, the whole may be larger by as much.
    """
    grow = (
        role
        for role in candidate.changed
        if role not in _OWNERS and len(candidate.roles[role].raw) > (len(stored[role].raw) if role in stored else 0)
    )
    whole = sum(len(envelope.raw) for envelope in candidate.roles.values())
    limit = MAX_COLLECTION + wire.size_limit(TARGETS) - MAX_TARGETS
    if whole > limit and any(grow):
        raise TooLarge(what="the whole collection", limit=limit)


def check_snapshot_size(
    stored: Mapping[RoleName, Envelope], changed: Iterable[RoleName], snapshot: Envelope, wire: WireFormat
) -> None:
    """Refuse new roles that leave no room in the snapshot for the next versions of the old ones. Raises: TooLarge."""
    limit = wire.size_limit(SNAPSHOT) - SNAPSHOT_RESERVE
    listed = stored[SNAPSHOT].snapshot.meta if SNAPSHOT in stored else {}
    if len(snapshot.raw) > limit and any(role != ROOT and f"{role}.json" not in listed for role in changed):
        raise TooLarge(what="snapshot metadata with new roles", limit=limit)
