"""What a project's lock file says of one collection, and what follows from it (PRODUCT decision 9).

An entry holds a root of the collection's verified chain and the versions that were verified under it. It is two things:

- a pin, but only of a name that nothing else knows: where pins or rollback memory know the name, they decide which
  chain is the right one, and the entry can but agree or be refused;
- minimum versions, always. They were seen under the online keys of the locked root: a later root of the chain under
  which these no longer meet their threshold voids them, as it voids rollback memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trustdata.envelope import Envelope
from trustdata.errors import LockDisagrees, VersionRollback
from trustdata.gun import GUN
from trustdata.roles import ROOT, RoleName
from trustdata.verification.rollback_memory import OnlineKeys, SeenRole
from trustdata.verification.trust_pinning import Pin, SourcedPin, chain_holds


@dataclass(frozen=True, slots=True, kw_only=True)
class LockEntry:
    """`format`: the wire format's name. `root`: the fingerprint of root version `root_version`, not of the first root.

    `minimum`: the lowest version that counts as new enough, of every role but root.
    """

    format: str
    root_version: int
    root: Pin
    minimum: Mapping[RoleName, int]

    def minimum_versions(self, chain: Sequence[Envelope]) -> dict[RoleName, int]:
        """The lowest version of each role that may still be accepted at the end of the verified root chain."""
        found = {ROOT: self.root_version}
        keys = {root.version: OnlineKeys.of(root.root) for root in chain}
        then = keys.get(self.root_version)
        if then is None:  # a chain that ends before it: root's own floor refuses that one
            return found | dict(self.minimum)
        later = [now for version, now in keys.items() if version > self.root_version]
        for role, version in self.minimum.items():
            seen = SeenRole(version=version, root_version=self.root_version, keys=then)
            if all(seen.holds_under(role, now) for now in later):
                found[role] = version
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcedLock:
    """A lock entry, and the file that it stands in."""

    entry: LockEntry
    source: str


def locked(*, wire_format: str, root: Envelope, versions: Mapping[RoleName, int]) -> LockEntry:
    """The entry of a collection as a refresh has verified it. `versions`: those of `TrustedSet.versions`."""
    return LockEntry(
        format=wire_format,
        root_version=root.version,
        root=Pin("sha256", root.sha256),
        minimum={role: version for role, version in versions.items() if role != ROOT},
    )


def check_lock(gun: GUN, lock: SourcedLock, pins: Sequence[SourcedPin], chain: Sequence[Envelope]) -> None:
    """The lock against a verified root chain (ascending) and the pins that know the name besides; maybe none.

    Where the chain holds none of those pins, it is not for the lock to say what is wrong: `check_pins` does.

    Raises: VersionRollback (the chain ends before the locked root), LockDisagrees.
    """
    entry = lock.entry
    pinned = [pin for pin in pins if chain_holds(pin.pin, chain)]
    there = next((root for root in chain if root.version == entry.root_version), None)
    if there is not None and there.sha256 == entry.root.digest:
        if pins and not pinned:
            raise _disagreement(gun, lock, str(pins[0].pin), pins[0].source)
        return
    if pins and not pinned:
        return
    newest = chain[-1].version
    if newest < entry.root_version:
        raise VersionRollback(role=ROOT, offered=newest, known=entry.root_version, source=f"locked in {lock.source}")
    other = there or chain[0]
    raise _disagreement(gun, lock, f"sha256:{other.sha256}", pinned[0].source if pinned else "")


def _disagreement(gun: GUN, lock: SourcedLock, known: str, known_by: str) -> LockDisagrees:
    return LockDisagrees(
        gun=gun,
        lock=lock.source,
        root_version=lock.entry.root_version,
        locked=str(lock.entry.root),
        known=known,
        known_by=known_by,
    )
