"""The client workflow of TUF (specification 5): fetch metadata in order, verify it, and cache what was verified.

    1. roots        from the cache; then N+1, N+2 until the server says that there is none (5.3)
    2. pins         one verified root chain must match every pin before it is stored (docs/adr/0032)
    3. timestamp    the cached one as the lowest accepted version, then always the server's (5.4)
    4. snapshot     the cached one if the timestamp still names it, else the server's (5.5)
    5. targets      the cached one if the snapshot still lists it, else the server's; delegations on request (5.6)

Each file is cached as soon as it is verified, so that the next run need not fetch it again after a failure. Cached
files are verified like all others.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from trustcli.client.local_state import Known
from trustcli.client.measured_remote import MeasuredRemote
from trustcli.client.no_remote import NoRemote
from trustcli.client.ports import MetadataRemote
from trustcli.errors import OfflineTooOld
from trustdata.duration import typed_duration
from trustdata.envelope import Envelope
from trustdata.errors import (
    ContentMismatch,
    LivesTooLong,
    MalformedMetadata,
    MetadataMissing,
    NoTrustData,
    NotTrusted,
    ThresholdNotMet,
    TooLarge,
    TrustDataWithheld,
    TrustError,
    Unpinned,
    VersionMismatch,
)
from trustdata.gun import GUN
from trustdata.lifetimes import MaxLife
from trustdata.limits import MAX_ROOT_ROTATIONS
from trustdata.model import MetaFile
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification.checks import check_content
from trustdata.verification.lock_entry import LockEntry, SourcedLock, check_lock, locked
from trustdata.verification.rollback_memory import Memory, observe
from trustdata.verification.trust_pinning import Lapse, Pin, SourcedPin, check_named, check_pins
from trustdata.verification.trusted_set import TrustedSet
from trustdata.wire import WireFormat

VERIFIED_BEFORE: Final = "what this machine has verified before"
"""How messages name rollback memory as the source of what is known."""

_FIRST_ROOT = 1
_log = logging.getLogger(__name__)


class Updater:
    """One refresh of one collection; afterwards it loads delegations on request.

    `max_life`: how long timestamp and snapshot may be valid from now on; None for the limits of the format.
    `unsafe_accept_expired_offline_roles`: accept expired root, targets and delegations, and online roles that live too
    long, for owners who inspect or renew them. Never run an image on the result. `unsafe_accept_any_name`: for
    repositories without names, see `TrustedSet`.
    """

    def __init__(
        self,
        *,
        gun: GUN,
        wire: WireFormat,
        remote: MetadataRemote,
        known: Known,
        at: datetime,
        max_life: MaxLife | None = None,
        unsafe_accept_expired_offline_roles: bool = False,
        unsafe_accept_any_name: bool = False,
    ) -> None:
        self._gun = gun
        self._wire = wire
        self._remote: MetadataRemote = MeasuredRemote(remote)
        self._cache = known.cache
        self._at = at
        self._pins = tuple(known.pins)
        self._memory = known.memory
        self._lock = known.lock
        self._max_life = max_life
        self._accept_expired = unsafe_accept_expired_offline_roles
        self._accept_any_name = unsafe_accept_any_name
        self._set: TrustedSet | None = None
        self._complete = False
        self.progress: TrustedSet | None = None
        """The set that is being verified, kept when a step is refused: for an explanation, never for a verdict."""
        self.lapse: Lapse | None = None
        """When the roots hold what is pinned no more, without anything else being served; None if never."""

    def refresh(self) -> TrustedSet:
        """Fetch and verify all top-level roles (steps 1 to 5).

        Raises: NoTrustData; TrustDataWithheld (the server has no data, but a pin, the lock file or rollback memory
        knows the name); Unpinned, NotTrusted (a file does not verify), MalformedMetadata, TooLarge; RemoteUnreachable,
        RemoteRefused, RemoteMisbehaved.
        """
        trusted = self._load_roots()
        try:
            return self._load_top_level(trusted)
        except (ThresholdNotMet, ContentMismatch):
            # Keys may have been rotated after we had asked for the next root (in Notary v1 the snapshot then lists
            # another root). Try again, but only if there is a newer root.
            if not self._has_successor(trusted.root):
                raise
        return self._load_top_level(self._load_roots())

    def offline(self, *, max_age: timedelta) -> TrustedSet:
        """Verify all top-level roles from the cache alone, if the last refresh is at most `max_age` ago.

        Nothing may have expired, and the clock may not have gone back since. Raises: OfflineTooOld, NotTrusted,
        Unpinned, MalformedMetadata, TooLarge.
        """
        refreshed = self._memory.refreshed if self._memory else None
        if refreshed is None:
            raise OfflineTooOld(gun=self._gun, reason="it was never refreshed here")
        if refreshed > self._at:
            reason = f"the clock has gone back behind the last refresh ({refreshed:%Y-%m-%d %H:%M} UTC)"
            raise OfflineTooOld(gun=self._gun, reason=reason)
        if self._at - refreshed > max_age:
            bound = typed_duration(max_age)
            reason = f"the last refresh was on {refreshed:%Y-%m-%d %H:%M} UTC, longer ago than --max-age ({bound})"
            raise OfflineTooOld(gun=self._gun, reason=reason)
        self._remote = NoRemote(self._gun)
        roots = self._cache.roots()
        if not roots:
            raise OfflineTooOld(gun=self._gun, reason="its metadata is not in the cache")
        trusted = self.progress = self._chain(roots)
        self._check_pins(trusted)
        self._noted(trusted.update_timestamp(self._cached(TIMESTAMP)), "cache")
        self._noted(trusted.update_snapshot(self._cached(SNAPSHOT)), "cache")
        self._set = trusted
        self.load(TARGETS, ROOT)
        return trusted

    def load(self, role: RoleName, delegator: RoleName = TARGETS) -> Envelope:
        """Load one role and verify it against its delegator, which must be loaded (step 5).

        Raises: MetadataMissing, NotTrusted, MalformedMetadata, TooLarge, RemoteUnreachable, RemoteRefused,
        RemoteMisbehaved.
        """
        trusted = self._trusted()
        if trusted.is_verified_for(role, delegator):
            return trusted.delegated[role]
        meta = trusted.role_meta(role)
        cached = self._cache.load(role)
        if cached is not None:
            try:
                return self._noted(trusted.update_targets(cached, role, delegator), "cache")
            except TrustError:
                # An older file, which the snapshot no longer lists: the server's file decides.
                pass
        raw = self._fetch(trusted, role, meta)
        envelope = trusted.update_targets(raw, role, delegator)
        self._cache.store(role, raw)
        return self._noted(envelope, "server")

    def load_published(self, roles: Iterable[RoleName]) -> dict[RoleName, Envelope]:
        """Load those of `roles`, all delegated by targets, that were ever published.

        A role that the snapshot lists must have a file, and a role that was seen before must be listed. Raises:
        VersionRollback, MetadataMissing, NotTrusted, MalformedMetadata, TooLarge, RemoteUnreachable, RemoteRefused,
        RemoteMisbehaved.
        """
        return {role: self.load(role) for role in roles if self.published(role)}

    def published(self, role: RoleName) -> bool:
        """Return whether the role was ever published, as the verified snapshot lists it.

        Raises: VersionRollback if the role was seen before and is no longer listed.
        """
        return self._trusted().published(role)

    def load_unverified(self, role: RoleName) -> Envelope:
        """Return the file that the verified snapshot lists for the role, without checking its signatures.

        For owners who repair the role, never for a verdict. Raises: MetadataMissing, ContentMismatch,
        MalformedMetadata, TooLarge, RemoteUnreachable, RemoteRefused, RemoteMisbehaved.
        """
        trusted = self._trusted()
        meta = trusted.role_meta(role)
        raw = self._fetch(trusted, role, meta)
        check_content(role, raw, meta)
        return self._wire.parse(role, raw)

    def roles(self) -> dict[RoleName, Envelope]:
        """Return all roles that are loaded and verified so far."""
        trusted = self._trusted()
        found = {ROOT: trusted.root, **trusted.delegated}
        if trusted.timestamp is not None and trusted.snapshot is not None:
            found |= {TIMESTAMP: trusted.timestamp, SNAPSHOT: trusted.snapshot}
        return found

    def listed(self) -> frozenset[RoleName]:
        """Return every role that was ever published, as the verified snapshot lists them."""
        return self._trusted().listed()

    def versions(self) -> dict[RoleName, int]:
        """Return the verified version of each role."""
        return self._trusted().versions()

    def overlong(self) -> tuple[LivesTooLong, ...]:
        """Return why clients refuse the online roles that were accepted for an owner although they live too long."""
        return tuple(self._trusted().overlong.values())

    def roots(self) -> tuple[Envelope, ...]:
        """Return the verified root chain, ascending."""
        return tuple(self._trusted().roots)

    def observed(self) -> Memory:
        """Return what this refresh has verified, for rollback memory.

        An offline run does not change the time of the last refresh.
        """
        trusted = self._trusted()
        first = trusted.roots[0].sha256
        if self._memory is not None and any(root.sha256 == self._memory.root_of_trust for root in trusted.roots):
            first = self._memory.root_of_trust  # never another one, wherever the chain now begins
        return observe(
            root_of_trust=first,
            root=trusted.root.root,
            versions=trusted.versions(),
            refreshed=self._at if self._complete else None,
            hashes=trusted.fresh_hashes(),
        )

    def has_learned(self) -> bool:
        """Return whether a delegation was verified of which rollback memory had another version or no hash before."""
        known = self._memory.roles if self._memory is not None else {}
        observed = self.observed().roles
        return any(
            role not in known or known[role].version != seen.version or seen.sha256 not in {"", known[role].sha256}
            for role, seen in ((role, observed[role]) for role in self._trusted().delegated if role != TARGETS)
        )

    def lock_entry(self) -> LockEntry:
        """Return what this refresh has verified, as an entry for the project's lock file."""
        trusted = self._trusted()
        return locked(wire_format=self._wire.name, root=trusted.root, versions=trusted.versions())

    # --- the steps

    def _load_top_level(self, trusted: TrustedSet) -> TrustedSet:
        """Run steps 3 to 5."""
        # Read the cache before asking the server: another process may meanwhile cache a newer snapshot than our
        # timestamp names, and the snapshot that the server sends us would then look like a rollback.
        cached_snapshot = self._cache.load(SNAPSHOT)
        self._load_timestamp(trusted)
        self._load_snapshot(trusted, cached_snapshot)
        self._set = trusted
        self.load(TARGETS, ROOT)
        self._complete = True
        return trusted

    def _load_roots(self) -> TrustedSet:
        cached = self.progress = self._cached_chain()
        if cached is not None:
            first, last = cached.roots[0].version, cached.root.version
            _log.info("%s: roots %d to %d of the cache are verified", self._gun, first, last)
            try:
                self._follow_roots(cached, keep=True)
                self._check_pins(cached)
            except NotTrusted:
                if self._holds_pins(cached):
                    raise
                # The cached chain does not hold the pins: start again from the server, with pins and memory.
            else:
                return cached
        self.progress = None
        trusted = self.progress = self._first_root()
        self._noted(trusted.root, "server")
        self._follow_roots(trusted, keep=False)
        self._check_pins(trusted)
        self._cache.drop_roots()  # roots of another chain must not follow ours
        for root in trusted.roots:
            self._cache.store_root(root.version, root.raw)
        return trusted

    def _first_root(self) -> TrustedSet:
        """Return the set with the server's first root: version 1, or in Notary v1 the root that takes its place."""
        raw = self._fetch_root(_FIRST_ROOT)
        if raw is None:
            return self._chain([self._later_first_root()])
        trusted = self.progress = self._chain([raw])
        if trusted.root.version != _FIRST_ROOT:
            # A chain that starts later would verify as well, but other clients would have another root of trust.
            raise VersionMismatch(role=ROOT, offered=trusted.root.version, expected=_FIRST_ROOT)
        return trusted

    def _later_first_root(self) -> bytes:
        """Return the root with which a collection without version 1 begins: one that is known here, if any is.

        Only who knows nothing of the collection follows its roots down, and then decides about what was found.
        """
        if self._wire.first_root_may_be_later:
            from trustcli.client.first_root import RootSearch  # rare: start-up time

            search, known = RootSearch(self._gun, self._wire, self._remote), self._known_roots()
            found = search.known(known) if known else search.oldest()
            if found is not None:
                return found.raw
        raise self._absent()

    def _known_roots(self) -> list[SourcedPin]:
        """Return everything that is known here of the collection's roots, as pins."""
        known = [pinned for pinned in self._pins if pinned.pin.kind != "ca"]  # a CA vouches for any
        if self._memory is not None:
            known.append(SourcedPin(pin=Pin("sha256", self._memory.root_of_trust), source=VERIFIED_BEFORE))
        if self._lock is not None:
            known.append(SourcedPin(pin=self._lock.entry.root, source=self._lock.source))
        return known

    def _fetch_root(self, version: int) -> bytes | None:
        return self._remote.fetch(self._gun, self._filename(ROOT, version), limit=self._wire.size_limit(ROOT))

    def _follow_roots(self, trusted: TrustedSet, *, keep: bool) -> None:
        """Update to N+1, N+2 until the server has no further root. `keep`: store each one in the cache at once."""
        known = trusted.root.version
        for _ in range(MAX_ROOT_ROTATIONS):
            raw = self._fetch_root(trusted.root.version + 1)
            if raw is None:
                return
            self._noted(trusted.update_root(raw), "server")
            if keep:
                self._keep_root(trusted, trusted.root, since=known)

    def _has_successor(self, root: Envelope) -> bool:
        return self._fetch_root(root.version + 1) is not None

    def _cached_chain(self) -> TrustedSet | None:
        roots = self._cache.roots()
        try:
            cached = self._chain(roots) if roots else None
        except (MalformedMetadata, NotTrusted, TooLarge):
            return None  # a damaged cache: start again from the server, with pins and memory
        if cached is not None and self._wire.first_root_may_be_later and cached.roots[0].version != _FIRST_ROOT:
            # What is missing here may have been lost: such a chain counts only from a root that is known.
            known = {known.pin.digest for known in self._known_roots() if known.pin.kind == "sha256"}
            return cached if cached.roots[0].sha256 in known else None
        return cached

    def _chain(self, roots: Sequence[bytes]) -> TrustedSet:
        trusted = TrustedSet(
            gun=self._gun,
            root=roots[0],
            wire=self._wire,
            at=self._at,
            memory=self._memory,
            lock=self._lock,
            max_life=self._max_life,
            unsafe_accept_expired_offline_roles=self._accept_expired,
            unsafe_accept_any_name=self._accept_any_name,
        )
        for raw in roots[1:]:
            trusted.update_root(raw)
        return trusted

    def _keep_root(self, trusted: TrustedSet, root: Envelope, *, since: int) -> None:
        if trusted.replaced_online_keys(since):  # 5.3.11: recovery from a fast-forward attack
            self._cache.drop(TIMESTAMP)
            self._cache.drop(SNAPSHOT)
        self._cache.store_root(root.version, root.raw)

    @property
    def is_named(self) -> bool:
        """Whether the newest root says that it belongs to this collection and to no other."""
        return self._trusted().is_named

    @property
    def complete(self) -> bool:
        """Whether every top-level role is verified."""
        return self._set is not None and TARGETS in self._set.delegated

    @property
    def at(self) -> datetime:
        """The reference time of all checks, UTC."""
        return self._at

    @property
    def memory(self) -> Memory | None:
        """Rollback memory as it was before this refresh."""
        return self._memory

    @property
    def lock(self) -> SourcedLock | None:
        """The entry of the lock file that this refresh uses, if any."""
        return self._lock

    def counted_pins(self) -> list[SourcedPin]:
        """Return the pins that the root chain must hold, except the lock file's, which is checked separately.

        Rollback memory counts as a pin where there is another pin or a lock entry.
        """
        pins = list(self._pins)
        if self._memory is not None and (pins or self._lock is not None):
            # Memory alone is no pin. Beside a lock entry it is one: a lock file must not replace the root of trust that
            # this machine knows.
            remembered = Pin("sha256", self._memory.root_of_trust)
            pins.append(SourcedPin(pin=remembered, source=VERIFIED_BEFORE))
        return pins

    def _check_pins(self, trusted: TrustedSet) -> None:
        pins = self.counted_pins()
        if self._lock is not None:
            check_lock(self._gun, self._lock, pins, trusted.roots, at=self._at)
            _log.info("%s: the roots hold the lock entry of %s", self._gun, self._lock.source)
            if not pins:
                return
        self.lapse = check_pins(self._gun, pins, trusted.roots, at=self._at)
        held = ", ".join(f"{each.pin} ({each.source})" for each in pins)
        _log.info("%s: the roots hold what is pinned: %s", self._gun, held)
        check_named(self._gun, self._pins, trusted.roots, names=trusted.names_collection)

    def _holds_pins(self, trusted: TrustedSet) -> bool:
        try:
            self._check_pins(trusted)
        except (NotTrusted, Unpinned):
            return False
        return True

    def _load_timestamp(self, trusted: TrustedSet) -> None:
        cached = self._cache.load(TIMESTAMP)
        if cached is not None:
            # If it is expired or its keys were replaced, it is at most a lower bound, which the trusted set keeps.
            with suppress(TrustError):
                trusted.update_timestamp(cached)
        filename = self._filename(TIMESTAMP)
        raw = self._remote.fetch(self._gun, filename, limit=self._wire.size_limit(TIMESTAMP))
        if raw is None:
            raise self._absent(trusted)
        accepted = self._noted(trusted.update_timestamp(raw), "server")
        if accepted.raw == raw:
            self._cache.store(TIMESTAMP, raw)

    def _load_snapshot(self, trusted: TrustedSet, cached: bytes | None) -> None:
        if cached is not None:
            try:
                self._noted(trusted.update_snapshot(cached, cached=True), "cache")
            except TrustError:
                # Not the one that the timestamp names: at most a lower bound for versions.
                pass
            else:
                return
        raw = self._fetch(trusted, SNAPSHOT, trusted.snapshot_meta())
        self._noted(trusted.update_snapshot(raw), "server")
        self._cache.store(SNAPSHOT, raw)

    def _noted(self, envelope: Envelope, source: str) -> Envelope:
        """Log a file that was verified, and return it."""
        role, expires = envelope.role, envelope.expires
        _log.info("%s: %s %d of the %s is verified, until %s", self._gun, role, envelope.version, source, expires)
        return envelope

    # --- fetching

    def _fetch(self, trusted: TrustedSet, role: RoleName, meta: MetaFile) -> bytes:
        consistent = bool(trusted.root.root.consistent_snapshot)
        filename = self._wire.listed_filename(role, meta, consistent=consistent)
        most = self._wire.size_limit(role)
        limit = min(most, meta.length) if meta.length is not None else most
        raw = self._remote.fetch(self._gun, filename, limit=limit)
        if raw is None:
            promised = f"version {meta.version}" if self._wire.lists_versions else "it"
            raise MetadataMissing(role=role, reason=f"{self._remote.name} promises {promised} but has no file")
        return raw

    def _filename(self, role: RoleName, version: int | None = None) -> str:
        return self._wire.filename(role, version=version)

    def _cached(self, role: RoleName) -> bytes:
        raw = self._cache.load(role)
        if raw is None:
            raise OfflineTooOld(gun=self._gun, reason=f"its {role} metadata is not in the cache")
        return raw

    def _trusted(self) -> TrustedSet:
        if self._set is None:
            raise RuntimeError("refresh first")
        return self._set

    def _absent(self, trusted: TrustedSet | None = None) -> TrustError:
        """Return the error for a collection of which the server has nothing."""
        own = [pinned.source for pinned in self._pins if not pinned.of_pattern]
        if own:
            return TrustDataWithheld(gun=self._gun, known_by=own[0])
        if self._memory is None and self._lock is not None:
            return TrustDataWithheld(gun=self._gun, known_by=self._lock.source)
        if self._memory is not None or trusted is not None:
            return TrustDataWithheld(gun=self._gun, known_by=VERIFIED_BEFORE)
        return NoTrustData(gun=self._gun)
