"""The order in which a client verifies metadata (TUF specification 1.0, sections 5.2 to 5.6), as a state machine.

    1. the first root      (5.2)  from the cache, or matching a pin; it must be signed with its own keys
    2. `update_root`       (5.3)  version N+1, signed by the thresholds of N and N+1; repeat for each new root
    3. `update_timestamp`  (5.4)  first the cached one: if it has expired, it only serves to detect a rollback
    4. `update_snapshot`   (5.5)  the same
    5. `update_targets`    (5.6)  targets, then each delegation for each of its delegators

Only the last root is checked for expiry, in step 3. A call in the wrong order raises RuntimeError, because it is an
error in the program and no verdict. There is no I/O and no clock: one reference time is used for all checks (5.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from trustdata.envelope import Envelope
from trustdata.errors import LivesTooLong, MetadataMissing
from trustdata.gun import GUN
from trustdata.lifetimes import Lifetimes, MaxLife
from trustdata.model import Delegator, MetaFile
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName, is_delegated
from trustdata.verification import checks
from trustdata.verification.lock_entry import SourcedLock
from trustdata.verification.minimum_versions import MinimumVersion, check_minimum_versions, lowest_accepted
from trustdata.verification.rollback_memory import Memory, OnlineKeys
from trustdata.wire import WireFormat


class TrustedSet:
    """The verified metadata of one collection.

    `roots`: the verified root chain, ascending. If a step raises an error, what was accepted before stays accepted.
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
        max_life: MaxLife | None = None,
        unsafe_accept_expired_offline_roles: bool = False,
        unsafe_accept_any_name: bool = False,
    ) -> None:
        """Verify the first root (step 1).

        `at`: the reference time of all checks, UTC. `memory`, `lock`: they give the minimum versions. `max_life`: how
        long timestamp and snapshot may be valid from then on; None for the limits of the format.
        `unsafe_accept_expired_offline_roles`: accept an expired root, targets and delegations, so that owners can list
        and renew them, and a timestamp and snapshot that live too long, since what owners publish replaces these.
        Metadata accepted in this way must never be used to run an image. `unsafe_accept_any_name`: do not check whose
        root it is, for a client of repositories without names (the conformance suite of TUF).

        Raises: MalformedMetadata, TooLarge, ThresholdNotMet, CertificateOfAnotherName, RootOfAnotherName.
        """
        self._accept_expired_offline_roles = unsafe_accept_expired_offline_roles
        self._accept_any_name = unsafe_accept_any_name
        self._gun = gun
        self._wire = wire
        self._memory = memory
        self._lock = lock
        self._minimums: Mapping[RoleName, MinimumVersion] = {}
        self._max_life = max_life or wire.max_life
        self.at = at
        first = wire.parse(ROOT, root)
        checks.check_signatures(first.root, f"root version {first.version}", first)
        self._check_belongs(first, None)
        self.roots: list[Envelope] = [first]
        self.timestamp: Envelope | None = None
        self.snapshot: Envelope | None = None
        self.delegated: dict[RoleName, Envelope] = {}
        self.overlong: dict[RoleName, LivesTooLong] = {}
        """The timestamp and snapshot that live too long and were accepted all the same, for an owner."""
        self._verified_pairs: dict[tuple[RoleName, RoleName], None] = {}

    @property
    def lifetimes(self) -> Lifetimes:
        """The usual lifetimes of signed files in the format of the collection."""
        return self._wire.lifetimes

    @property
    def root(self) -> Envelope:
        return self.roots[-1]

    @property
    def targets(self) -> Envelope:
        return self.delegated[TARGETS]

    @property
    def is_named(self) -> bool:
        """Whether the newest root says that it belongs to this collection and to no other."""
        return self.names_collection(self.root)

    def names_collection(self, root: Envelope) -> bool:
        """Return whether one of the verified roots says so."""
        return self._accept_any_name or checks.root_names(self._gun, root.root, wire=self._wire)

    def update_root(self, raw: bytes) -> Envelope:
        """Verify the next root (step 2).

        Raises: MalformedMetadata, TooLarge, VersionMismatch, ThresholdNotMet, CertificateOfAnotherName,
        RootOfAnotherName.
        """
        if self.timestamp is not None:
            raise RuntimeError("roots come before the timestamp")
        new = self._wire.parse(ROOT, raw)
        checks.check_root_step(self.root, new)
        self._check_belongs(new, self.root)
        self.roots.append(new)
        return new

    def _check_belongs(self, root: Envelope, before: Envelope | None) -> None:
        if not self._accept_any_name:
            checks.check_root_belongs(self._gun, root, before, wire=self._wire)

    def replaced_online_keys(self, since: int) -> bool:
        """Return whether a root after version `since` replaced keys of timestamp or snapshot.

        The cached timestamp and snapshot must then be deleted (specification 5.3.11).
        """
        older = next((r for r in self.roots if r.version == since), None)
        if older is None:
            return False
        now, then = OnlineKeys.of(self.root.root), OnlineKeys.of(older.root)
        return not (now.keep_timestamp_of(then) and now.keep_snapshot_of(then))

    def update_timestamp(self, raw: bytes) -> Envelope:
        """Verify a timestamp (step 3). If its version is that of the last one, the last one is kept (5.4.3.1).

        Raises: MalformedMetadata, TooLarge, ThresholdNotMet, VersionRollback, RootOfAnotherName; MetadataExpired if
        the root or the timestamp has expired; LivesTooLong. A timestamp that is refused for its expiry is kept, to
        detect a rollback in the next call.
        """
        if self.snapshot is not None:
            raise RuntimeError("the timestamp comes before the snapshot")
        self._check_offline_role(self.root)
        self._minimums = lowest_accepted(memory=self._memory, lock=self._lock, chain=self.roots)
        check_minimum_versions({ROOT: self.root.version}, self._minimums, [ROOT])
        if self._memory is not None and self._memory.named:
            checks.check_still_named(self._gun, self.root)
        new = self._wire.parse(TIMESTAMP, raw)
        checks.check_signatures(self.root.root, ROOT, new)
        if self.timestamp is not None:
            checks.check_not_older(TIMESTAMP, new.version, self.timestamp.version, "verified before")
            if new.version == self.timestamp.version:
                self._check_online_role(self.timestamp)
                return self.timestamp
            if self._wire.lists_versions:
                known = self.timestamp.timestamp.snapshot_meta.version
                offered = new.timestamp.snapshot_meta.version
                checks.check_not_older(SNAPSHOT, offered, known, "named by the timestamp before")
        check_minimum_versions({TIMESTAMP: new.version}, self._minimums, [TIMESTAMP])
        if self._wire.lists_versions:
            check_minimum_versions({SNAPSHOT: new.timestamp.snapshot_meta.version}, self._minimums, [SNAPSHOT])
        self.timestamp = new
        self._check_online_role(new)
        return new

    def snapshot_meta(self) -> MetaFile:
        """Return the entry of the snapshot in the timestamp."""
        return self._accepted_timestamp().timestamp.snapshot_meta

    def _accepted_timestamp(self) -> Envelope:
        if self.timestamp is None:
            raise RuntimeError("the timestamp comes before the snapshot")
        return self.timestamp

    def update_snapshot(self, raw: bytes, *, cached: bool = False) -> Envelope:
        """Verify a snapshot (step 4).

        `cached`: the bytes come from the cache and were verified before. Then the timestamp need not name them: they
        are still kept to detect a rollback.

        Raises: ContentMismatch, MalformedMetadata, TooLarge, ThresholdNotMet, VersionRollback; MetadataExpired,
        LivesTooLong or VersionMismatch, after which the snapshot is kept to detect a rollback in the next call.
        """
        if self.delegated:
            raise RuntimeError("the snapshot comes before targets")
        meta = self.snapshot_meta()
        self._check_online_role(self._accepted_timestamp())
        if not cached:
            checks.check_content(SNAPSHOT, raw, meta)
        new = self._wire.parse(SNAPSHOT, raw)
        checks.check_signatures(self.root.root, ROOT, new)
        if self.snapshot is not None:
            if not self._wire.lists_versions:  # with versions, the timestamps were compared already
                checks.check_not_older(SNAPSHOT, new.version, self.snapshot.version, "verified before")
            checks.check_nothing_dropped(self.snapshot.snapshot, new.snapshot)
        if not cached:
            self._check_snapshot_minimums(new)
        self.snapshot = new
        self._check_final_snapshot(new)
        if cached:  # the timestamp names it, so the minimum versions hold for it too
            self._check_snapshot_minimums(new)
        return new

    def _check_snapshot_minimums(self, snapshot: Envelope) -> None:
        if not self._wire.lists_versions:  # `update_targets` checks the version in each file
            check_minimum_versions({SNAPSHOT: snapshot.version}, self._minimums, [SNAPSHOT])
            return
        remembered = [role for role in self._minimums if role == TARGETS or is_delegated(role)]
        check_minimum_versions(listed_versions(snapshot), self._minimums, remembered)

    def _check_final_snapshot(self, snapshot: Envelope) -> None:
        self._check_online_role(snapshot)
        if self._wire.lists_versions:
            checks.check_version(snapshot, self.snapshot_meta().version)
        checks.check_content(SNAPSHOT, snapshot.raw, self.snapshot_meta())
        if self._wire.snapshot_lists_root:
            checks.check_content(ROOT, self.root.raw, snapshot.snapshot.meta[f"{ROOT}.json"])

    def role_meta(self, role: RoleName) -> MetaFile:
        """Return the entry of a role in the snapshot.

        Raises: MetadataMissing if there is none; MetadataExpired, LivesTooLong, VersionMismatch and ContentMismatch if
        the snapshot was only kept to detect a rollback.
        """
        if self.snapshot is None:
            raise RuntimeError("the snapshot comes before targets")
        self._check_final_snapshot(self.snapshot)
        meta = self.snapshot.snapshot.meta.get(f"{role}.json")
        if meta is None:
            raise MetadataMissing(role=role, reason="the snapshot does not list it")
        return meta

    def update_targets(self, raw: bytes, role: RoleName = TARGETS, delegator: RoleName = ROOT) -> Envelope:
        """Verify targets or a delegation with the keys of one delegator (step 5); repeat for each of its delegators.

        Raises: MetadataMissing, ContentMismatch, MalformedMetadata, TooLarge, ThresholdNotMet, VersionMismatch,
        VersionRollback, MetadataExpired.
        """
        meta = self.role_meta(role)
        checks.check_content(role, raw, meta)
        new = self._wire.parse(role, raw)
        checks.check_signatures(self._delegator(delegator), delegator, new)
        if self._wire.lists_versions:
            checks.check_version(new, meta.version)
        else:
            check_minimum_versions({role: new.version}, self._minimums, [role])
        self._check_offline_role(new)
        self.delegated[role] = new
        self._verified_pairs[delegator, role] = None
        return new

    def _check_offline_role(self, envelope: Envelope) -> None:
        if not self._accept_expired_offline_roles:
            checks.check_not_expired(envelope, self.at)

    def _check_online_role(self, envelope: Envelope) -> None:
        checks.check_not_expired(envelope, self.at)
        try:
            checks.check_life(envelope, self.at, self._max_life)
        except LivesTooLong as error:
            if not self._accept_expired_offline_roles:
                raise
            self.overlong[envelope.role] = error

    def is_verified_for(self, role: RoleName, delegator: RoleName) -> bool:
        """Return whether the role was verified with the keys of this delegator."""
        return (delegator, role) in self._verified_pairs

    def _delegator(self, name: RoleName) -> Delegator:
        if name == ROOT:
            return self.root.root
        if name not in self.delegated:
            raise RuntimeError(f"{name} must be loaded before the roles that it delegates to")
        return self.delegated[name].targets

    def versions(self) -> dict[RoleName, int]:
        """Return the verified version of each role: root, timestamp, snapshot, and the roles that the snapshot lists.

        In Notary v1 the snapshot lists no versions; there only the loaded files have one.
        """
        found = {ROOT: self.root.version}
        if self.timestamp is not None:
            found[TIMESTAMP] = self.timestamp.version
        if self.snapshot is not None:
            found[SNAPSHOT] = self.snapshot.version
            if self._wire.lists_versions:
                found |= listed_versions(self.snapshot)
            else:
                found |= {role: envelope.version for role, envelope in self.delegated.items()}
        return found

    def fresh_hashes(self) -> dict[RoleName, str]:
        """Return the SHA-256 (hex) of root, targets and the loaded delegations that have not expired.

        A role whose delegators have all expired is left out: others may have taken the place of its keys meanwhile.
        """
        found = {ROOT: self.root.sha256} if self.root.expires > self.at else {}
        for delegator, role in self._verified_pairs:  # in the order of loading: delegators first
            if delegator in found and self.delegated[role].expires > self.at:
                found[role] = self.delegated[role].sha256
        return found

    def published(self, role: RoleName) -> bool:
        """Return whether the snapshot lists the role. In Notary v1 it may have dropped one that is still delegated.

        Raises: VersionRollback if it does not, but the rollback memory or the lock file has a version of the role.
        """
        if role in self.listed():
            return True
        check_minimum_versions({}, self._minimums, [role])
        return False

    def listed(self) -> frozenset[RoleName]:
        """Return the roles that the snapshot lists: those that were ever published."""
        return frozenset(listed_versions(self.snapshot)) if self.snapshot is not None else frozenset()


def listed_versions(snapshot: Envelope) -> dict[RoleName, int]:
    """Return the versions of the roles that a snapshot lists."""
    return {RoleName(name.removesuffix(".json")): meta.version for name, meta in snapshot.snapshot.meta.items()}
