"""The entry of a collection in a lock file, and the checks that follow from it (docs/adr/0013, docs/adr/0032).

How an entry is read and written: lock_document.py.

An entry names a root of the verified chain and the versions that were verified under it. It is used in two ways:

1. As a pin, if there is neither a pin nor rollback memory of the collection. If there is one, the entry must agree with
   it, or is refused.
2. As minimum versions, always. A later root that replaces the online keys of the locked root makes them void, as it
   does with entries of the rollback memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from keys.record import record
from trustdata.envelope import Envelope
from trustdata.errors import LockDisagrees, VersionRollback
from trustdata.gun import GUN
from trustdata.roles import ROOT, RoleName
from trustdata.verification.rollback_memory import OnlineKeys, SeenRole
from trustdata.verification.trust_pinning import Pin, SourcedPin, chain_holds


@record
class LockEntry:
    """The entry of one collection in a lock file.

    `format`: the name of the wire format. `root`: the fingerprint of root version `root_version`, not of the first
    root. `minimum`: the lowest accepted version of every role but root.
    """

    format: str
    root_version: int
    root: Pin
    minimum: Mapping[RoleName, int]

    def minimum_versions(self, chain: Sequence[Envelope]) -> dict[RoleName, int]:
        """Return the lowest version of each role that is accepted at the end of the verified root chain."""
        minimums = {ROOT: self.root_version}
        keys = {root.version: OnlineKeys.of(root.root) for root in chain}
        keys_then = keys.get(self.root_version)
        if keys_then is None:  # the chain is too short: the check of root's minimum version refuses it
            return minimums | dict(self.minimum)
        later = [keys_later for version, keys_later in keys.items() if version > self.root_version]
        for role, version in self.minimum.items():
            seen = SeenRole(version=version, root_version=self.root_version, keys=keys_then)
            if all(seen.holds_under(role, keys_later) for keys_later in later):
                minimums[role] = version
        return minimums


@record
class SourcedLock:
    """A lock entry with the name of its file."""

    entry: LockEntry
    source: str


def locked(*, wire_format: str, root: Envelope, versions: Mapping[RoleName, int]) -> LockEntry:
    """Make the lock entry of a collection after a refresh. `versions`: from `TrustedSet.versions`."""
    return LockEntry(
        format=wire_format,
        root_version=root.version,
        root=Pin("sha256", root.sha256),
        minimum={role: version for role, version in versions.items() if role != ROOT},
    )


def check_lock(
    gun: GUN, lock: SourcedLock, pins: Sequence[SourcedPin], chain: Sequence[Envelope], *, at: datetime
) -> None:
    """Check a lock entry against the verified root chain (ascending) and the pins of the collection, if any.

    If the chain matches neither a pin nor the lock entry, no error is raised here, because `check_pins` reports it. So
    it does of a pin by CA, which names no root that could disagree with the locked one.

    Raises: VersionRollback if the chain ends before the locked root; LockDisagrees.
    """
    entry = lock.entry
    matching_pins = [pin for pin in pins if chain_holds(pin.pin, chain, at)]
    locked_root = next((root for root in chain if root.version == entry.root_version), None)
    if locked_root is not None and locked_root.sha256 == entry.root.digest:
        plain = [pinned for pinned in pins if pinned.pin.kind != "ca"]
        if plain and not matching_pins:
            raise _lock_disagrees(gun, lock, str(plain[0].pin), plain[0].source)
        return
    if pins and not matching_pins:
        return
    newest = chain[-1].version
    if newest < entry.root_version:
        raise VersionRollback(role=ROOT, offered=newest, known=entry.root_version, source=f"locked in {lock.source}")
    shown_root = locked_root or chain[0]
    raise _lock_disagrees(gun, lock, f"sha256:{shown_root.sha256}", matching_pins[0].source if matching_pins else "")


def _lock_disagrees(gun: GUN, lock: SourcedLock, known: str, known_by: str) -> LockDisagrees:
    return LockDisagrees(
        gun=gun,
        lock=lock.source,
        root_version=lock.entry.root_version,
        locked=str(lock.entry.root),
        known=known,
        known_by=known_by,
    )
