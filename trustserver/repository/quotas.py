"""Limit the size of a collection, and the number of collections (quotas).

The limits are for signers. They never keep the owner from repairing, shrinking or renewing the collection.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from trustdata.envelope import Envelope
from trustdata.errors import TooLarge
from trustdata.json_bounds import TooDeep, TooManyValues, count_values, most_values
from trustdata.limits import MAX_TARGETS
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, RoleName
from trustdata.verification.candidate_set import Candidate
from trustdata.wire import WireFormat
from trustserver.errors import TooMany
from trustserver.storage.ports import MetadataStore, StoredVersion

MAX_COLLECTION: Final = 32 * 1024 * 1024
"""Bytes of the current root, targets and delegations together. Parsed they take about twelve times as much memory."""
SNAPSHOT_RESERVE: Final = 128 * 1024
"""Bytes of the snapshot that new roles must leave free, since versions and lengths of the old roles can get longer."""
MAX_ROOT_VERSIONS: Final = 1024
"""Versions of root of one collection. All are kept for ever, and a client that comes late reads every one of them."""
MAX_ROOT_BYTES: Final = 32 * 1024 * 1024
"""Bytes of all versions of root of one collection."""
_OWNERS: Final = frozenset({ROOT, TARGETS, RELEASES})
"""The roles that have only a limit of their own. A signer who fills the collection must not be able to keep the owner
from removing that signer."""


def check_values(files: Collection[bytes], *, limit: int) -> None:
    """Refuse an upload whose files together hold more than `limit` values, before any of them is parsed.

    Each file has a limit of its own, but all of them are parsed before the first one is judged. A file that is nested
    too deep is left to its parser, which names it. Raises: TooLarge.
    """
    if sum(map(most_values, files)) <= limit:
        return
    left = limit
    for raw in files:
        try:
            left -= count_values(raw, most=left).values
        except TooManyValues as error:
            raise TooLarge(what="the upload", limit=limit, unit="values") from error
        except TooDeep:
            continue


def check_collection_size(stored: Mapping[RoleName, Envelope], candidate: Candidate, wire: WireFormat) -> None:
    """Refuse a signer's role that grows while the whole collection is above its limit. Raises: TooLarge.

    The limit is MAX_COLLECTION for TUF 1.0. A format whose targets may be larger has a limit higher by that difference.
    """
    growing = (
        role
        for role in candidate.changed
        if role not in _OWNERS and len(candidate.roles[role].raw) > (len(stored[role].raw) if role in stored else 0)
    )
    total = sum(len(envelope.raw) for envelope in candidate.roles.values())
    limit = MAX_COLLECTION + wire.size_limit(TARGETS) - MAX_TARGETS
    if total > limit and any(growing):
        raise TooLarge(what="the whole collection", limit=limit)


def check_snapshot_size(
    stored: Mapping[RoleName, Envelope], changed: Iterable[RoleName], snapshot: Envelope, wire: WireFormat
) -> None:
    """Refuse new roles that leave less than SNAPSHOT_RESERVE bytes free in the snapshot. Raises: TooLarge."""
    limit = wire.size_limit(SNAPSHOT) - SNAPSHOT_RESERVE
    listed = stored[SNAPSHOT].snapshot.meta if SNAPSHOT in stored else {}
    if len(snapshot.raw) > limit and any(role != ROOT and f"{role}.json" not in listed for role in changed):
        raise TooLarge(what="snapshot metadata with new roles", limit=limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class NameLimits:
    """How many names may be in use, also by deleted collections: in all, and begun by one subject. 0: no limit."""

    in_all: int = 0
    of_subject: int = 0


def check_names(store: MetadataStore, limits: NameLimits, *, subject: str) -> None:
    """Refuse a new name if there are too many. `subject`: who begins it; empty if nobody knows. Raises: TooMany."""
    in_all, own = store.count_names(subject=subject)
    if limits.of_subject and subject and own >= limits.of_subject:
        raise TooMany(what=f"collections of {subject}", limit=limits.of_subject)
    if limits.in_all and in_all >= limits.in_all:
        raise TooMany(what="collections on this server", limit=limits.in_all)


def check_root_history(versions: Iterable[StoredVersion], root: Envelope) -> None:
    """Refuse a version of root if too many are stored. Raises: TooMany."""
    sizes = [version.size for version in versions if version.role == ROOT]
    if len(sizes) >= MAX_ROOT_VERSIONS:
        raise TooMany(what="versions of root", limit=MAX_ROOT_VERSIONS)
    if sum(sizes) + len(root.raw) > MAX_ROOT_BYTES:
        raise TooMany(what="bytes of all versions of root", limit=MAX_ROOT_BYTES)
