"""The client's state machine: bytes in, trusted metadata or a named refusal out (TUF specification 5.3 to 5.6).

    1. the first root is given (a pin vouches for it, or the cache: 5.2); it must be signed by itself
    2. `update_root`      N to N+1, by both thresholds (5.3); may be repeated; expiry of the last one only, in step 3
    3. `update_timestamp` (5.4)   first a cached one, which may be expired and is then only the rollback baseline
    4. `update_snapshot`  (5.5)   the same
    5. `update_targets`   (5.6)   targets and, per delegator, each delegation

Calling out of order is a RuntimeError, which is a programming error, not a verdict. No I/O, no clock: one reference
time judges the whole operation (5.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from trustdata.envelope import Envelope
from trustdata.errors import MetadataMissing
from trustdata.gun import GUN
from trustdata.model import Delegator, MetaFile
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName, is_delegated
from trustdata.verification import checks
from trustdata.verification.lock_entry import SourcedLock
from trustdata.verification.minimum_versions import MinimumVersion, lowest_accepted
from trustdata.verification.rollback_memory import Memory, OnlineKeys
from trustdata.wire import WireFormat


class TrustedSet:
    """Verified metadata of one collection.

    `roots` is the verified chain, ascending. What was accepted stays accepted when a later step refuses (5: a failed
    step leaves the client able to update later).
    """

    def __init__(
        self,
        *,
        gun: GUN,
        root: bytes,
        wire: WireFormat,
        at: datetime,
        memory: Memory | None = None,
        lock: SourcedLock | None = None,
        unsafe_accept_expired_offline_roles: bool = False,
    ) -> None:
        """Step 1. Raises: MalformedMetadata, TooLarge, ThresholdNotMet, CertificateOfAnotherName.

        `unsafe_accept_expired_offline_roles` is for owners, who must be able to list and renew what has expired: root,
        targets and delegations may then be expired. What is found so must never be used to run an image.
        """
        self._accept_expired_offline_roles = unsafe_accept_expired_offline_roles
        self._gun = gun
        self._wire = wire
        self._memory = memory
        self._lock = lock
        self._floors: Mapping[RoleName, MinimumVersion] = {}
        self.at = at
        first = wire.parse(ROOT, root)
        checks.check_signatures(first.root, f"root version {first.version}", first)
        self._check_certificates(first)
        self.roots: list[Envelope] = [first]
        self.timestamp: Envelope | None = None
        self.snapshot: Envelope | None = None
        self.delegated: dict[RoleName, Envelope] = {}
        self._vouched: set[tuple[RoleName, RoleName]] = set()

    @property
    def root(self) -> Envelope:
        return self.roots[-1]

    @property
    def targets(self) -> Envelope:
        return self.delegated[TARGETS]

    def update_root(self, raw: bytes) -> Envelope:
        """Step 2. Raises: MalformedMetadata, TooLarge, VersionMismatch, ThresholdNotMet, CertificateOfAnotherName."""
        if self.timestamp is not None:
            raise RuntimeError("roots come before the timestamp")
        new = self._wire.parse(ROOT, raw)
        checks.check_root_step(self.root, new)
        self._check_certificates(new)
        self.roots.append(new)
        return new

    def _check_certificates(self, root: Envelope) -> None:
        if self._wire.certifies_root_keys:
            checks.check_root_certificates(self._gun, root.root)

    def replaced_online_keys(self, since: int) -> bool:
        """Whether a root after version `since` took away keys of timestamp or snapshot (5.3.11: cached files go)."""
        older = next((r for r in self.roots if r.version == since), None)
        if older is None:
            return False
        now, then = OnlineKeys.of(self.root.root), OnlineKeys.of(older.root)
        return not (now.keep_timestamp_of(then) and now.keep_snapshot_of(then))

    def update_timestamp(self, raw: bytes) -> Envelope:
        """Step 3. An equal version keeps the one that is there (5.4.3.1).

        Raises: MetadataExpired (root: always fatal; timestamp: it is kept as the baseline for the next call),
        MalformedMetadata, TooLarge, ThresholdNotMet, VersionRollback.
        """
        if self.snapshot is not None:
            raise RuntimeError("the timestamp comes before the snapshot")
        self._check_offline_role(self.root)
        self._floors = lowest_accepted(memory=self._memory, lock=self._lock, chain=self.roots)
        checks.check_minimum_versions({ROOT: self.root.version}, self._floors, [ROOT])
        new = self._wire.parse(TIMESTAMP, raw)
        checks.check_signatures(self.root.root, ROOT, new)
        if self.timestamp is not None:
            checks.check_not_older(TIMESTAMP, new.version, self.timestamp.version, "verified before")
            if new.version == self.timestamp.version:
                checks.check_not_expired(self.timestamp, self.at)
                return self.timestamp
            if self._wire.pins_versions:
                known = self.timestamp.timestamp.snapshot_meta.version
                offered = new.timestamp.snapshot_meta.version
                checks.check_not_older(SNAPSHOT, offered, known, "named by the timestamp before")
        checks.check_minimum_versions({TIMESTAMP: new.version}, self._floors, [TIMESTAMP])
        if self._wire.pins_versions:
            checks.check_minimum_versions({SNAPSHOT: new.timestamp.snapshot_meta.version}, self._floors, [SNAPSHOT])
        self.timestamp = new
        checks.check_not_expired(new, self.at)
        return new

    def snapshot_meta(self) -> MetaFile:
        """What the timestamp says of the snapshot."""
        return self._accepted_timestamp().timestamp.snapshot_meta

    def _accepted_timestamp(self) -> Envelope:
        if self.timestamp is None:
            raise RuntimeError("the timestamp comes before the snapshot")
        return self.timestamp

    def update_snapshot(self, raw: bytes, *, cached: bool = False) -> Envelope:
        """Step 4. `cached` bytes were verified once: they may be a mere baseline, so the timestamp need not name them.

        Raises: MetadataExpired and VersionMismatch (it is kept as the baseline), ContentMismatch, MalformedMetadata,
        TooLarge, ThresholdNotMet, VersionRollback.
        """
        if self.delegated:
            raise RuntimeError("the snapshot comes before targets")
        meta = self.snapshot_meta()
        checks.check_not_expired(self._accepted_timestamp(), self.at)
        if not cached:
            checks.check_content(SNAPSHOT, raw, meta)
        new = self._wire.parse(SNAPSHOT, raw)
        checks.check_signatures(self.root.root, ROOT, new)
        if self.snapshot is not None:
            if not self._wire.pins_versions:  # else the timestamps have been compared
                checks.check_not_older(SNAPSHOT, new.version, self.snapshot.version, "verified before")
            checks.check_nothing_dropped(self.snapshot.snapshot, new.snapshot)
        if not cached:
            self._check_remembered(new)
        self.snapshot = new
        self._check_final_snapshot(new)
        if cached:  # and more than a baseline: the timestamp names it
            self._check_remembered(new)
        return new

    def _check_remembered(self, snapshot: Envelope) -> None:
        if not self._wire.pins_versions:  # `update_targets` looks at each file's own
            checks.check_minimum_versions({SNAPSHOT: snapshot.version}, self._floors, [SNAPSHOT])
            return
        remembered = [role for role in self._floors if role == TARGETS or is_delegated(role)]
        checks.check_minimum_versions(listed_versions(snapshot), self._floors, remembered)

    def _check_final_snapshot(self, snapshot: Envelope) -> None:
        checks.check_not_expired(snapshot, self.at)
        if self._wire.pins_versions:
            checks.check_version(snapshot, self.snapshot_meta().version)
        checks.check_content(SNAPSHOT, snapshot.raw, self.snapshot_meta())
        if self._wire.snapshot_lists_root:
            checks.check_content(ROOT, self.root.raw, snapshot.snapshot.meta[f"{ROOT}.json"])

    def role_meta(self, role: RoleName) -> MetaFile:
        """What the snapshot says of a role. Raises: MetadataMissing."""
        if self.snapshot is None:
            raise RuntimeError("the snapshot comes before targets")
        self._check_final_snapshot(self.snapshot)
        meta = self.snapshot.snapshot.meta.get(f"{role}.json")
        if meta is None:
            raise MetadataMissing(role=role, reason="the snapshot does not list it")
        return meta

    def update_targets(self, raw: bytes, role: RoleName = TARGETS, delegator: RoleName = ROOT) -> Envelope:
        """Step 5, for one role as one delegator sees it; verified again for each delegator that leads to it.

        Raises: MetadataMissing, ContentMismatch, MalformedMetadata, TooLarge, ThresholdNotMet, VersionMismatch,
        MetadataExpired.
        """
        meta = self.role_meta(role)
        checks.check_content(role, raw, meta)
        new = self._wire.parse(role, raw)
        checks.check_signatures(self._delegator(delegator), delegator, new)
        if self._wire.pins_versions:
            checks.check_version(new, meta.version)
        else:
            checks.check_minimum_versions({role: new.version}, self._floors, [role])
        self._check_offline_role(new)
        self.delegated[role] = new
        self._vouched.add((delegator, role))
        return new

    def _check_offline_role(self, envelope: Envelope) -> None:
        if not self._accept_expired_offline_roles:
            checks.check_not_expired(envelope, self.at)

    def vouched(self, role: RoleName, delegator: RoleName) -> bool:
        """Whether the role was verified for this delegator."""
        return (delegator, role) in self._vouched

    def _delegator(self, name: RoleName) -> Delegator:
        if name == ROOT:
            return self.root.root
        if name not in self.delegated:
            raise RuntimeError(f"{name} must be loaded before the roles that it delegates to")
        return self.delegated[name].targets

    def versions(self) -> dict[RoleName, int]:
        """Every version that this set vouches for: root, timestamp, snapshot, and what the snapshot lists; of what it
        lists without a version, that of each file that was loaded.
        """
        found = {ROOT: self.root.version}
        if self.timestamp is not None:
            found[TIMESTAMP] = self.timestamp.version
        if self.snapshot is not None:
            found[SNAPSHOT] = self.snapshot.version
            if self._wire.pins_versions:
                found |= listed_versions(self.snapshot)
            else:
                found |= {role: envelope.version for role, envelope in self.delegated.items()}
        return found

    def published(self, role: RoleName) -> bool:
        """Whether the snapshot lists the role. In Notary v1 it may drop one that its owner has removed; who is asked
        about it delegates to it still. Raises: VersionRollback, if it was seen, or locked, and is gone.
        """
        if role in self.listed():
            return True
        checks.check_minimum_versions({}, self._floors, [role])
        return False

    def listed(self) -> frozenset[RoleName]:
        """The roles that the snapshot lists: those that were ever published."""
        return frozenset(listed_versions(self.snapshot)) if self.snapshot is not None else frozenset()


def listed_versions(snapshot: Envelope) -> dict[RoleName, int]:
    """The versions of targets and delegations that a snapshot lists."""
    return {RoleName(name.removesuffix(".json")): meta.version for name, meta in snapshot.snapshot.meta.items()}
