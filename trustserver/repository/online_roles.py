"""Make and rotate the server-held keys, two for each collection, and sign snapshot and timestamp with them."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from threading import Lock
from typing import Final

from keys.rfc3339 import to_rfc3339
from trustdata.editing.derived_roles import next_snapshot, next_timestamp
from trustdata.editing.signing import sign
from trustdata.envelope import Envelope
from trustdata.errors import CollectionExists, ServerKeyNotUsed
from trustdata.gun import GUN
from trustdata.lifetimes import outlives, renewal_due
from trustdata.model import Content, Key, Root, Signer
from trustdata.roles import ONLINE, ROOT, SNAPSHOT, TIMESTAMP, RoleName
from trustdata.wire import WireFormat
from trustdata.wire.formats import wire_named
from trustserver.errors import GoneCollection, NotThere, ReleasedName, RevisionMoved
from trustserver.repository.clock_guard import ClockGuard
from trustserver.repository.formats import ServedFormat
from trustserver.repository.offered_keys import OfferedKeys
from trustserver.repository.server_keys import ServerKeys
from trustserver.repository.stored_offers import StoredOffers
from trustserver.storage.events import NOBODY, Actor, EventKind, NewEvent
from trustserver.storage.ports import KeyRecord, KeySealer, KeyState, MetadataStore, Status, StoredCollection, Tombstone

OFFER_LIFETIME: Final = timedelta(hours=24)
"""How long an offered key can be published with, at least. After this time a pending key may be replaced."""
LOADED_KEYS: Final = 1024
"""How many decrypted private keys are kept in memory; the least recently used is dropped first."""
ATTEMPTS: Final = 16
"""How often a change of the server's own is tried where others move the collection meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A new timestamp and the snapshot that it lists; the snapshot may be an older one, or one that its owner signed.

    `at`: when the new ones were signed. `promoted_keys`: server-held keys that the root names and that are not CURRENT
    yet; OFFERED ones are not stored yet. `renew_at`: when a role must be signed again. `by_early_clock`: whether `at`
    is taken to be behind.
    """

    served_format: ServedFormat
    at: datetime
    snapshot: Envelope
    timestamp: Envelope
    promoted_keys: tuple[KeyRecord, ...]
    renew_at: datetime
    by_early_clock: bool


class OnlineRoles:
    """Makes, stores and rotates the server-held keys, and signs with them."""

    def __init__(
        self,
        store: MetadataStore,
        sealer: KeySealer,
        clock_guard: ClockGuard,
        *,
        keys: ServerKeys | None = None,
        offers: StoredOffers | None = None,
    ) -> None:
        """Take the parts. `keys`: None if all are sealed in the store. `offers`: None if they are derived."""
        self._store = store
        self._keys = keys or ServerKeys(sealer)
        self._clock_guard = clock_guard
        self._offers = offers or OfferedKeys(store, sealer)
        self._lock = Lock()
        self._signers: OrderedDict[tuple[str, str], Signer] = OrderedDict()

    # -- keys -----------------------------------------------------------------------------------------------

    def key(
        self,
        gun: GUN,
        role: RoleName,
        at: datetime,
        *,
        wire: WireFormat,
        permit: Callable[[], None] = lambda: None,
        by: Actor = NOBODY,
    ) -> KeyRecord:
        """Return the server's key for an online role of a collection; it is made if there is none, for `by`.

        For a collection: the key that root names or, if root names a key that the server does not hold (in Notary v1
        owners may hold the snapshot key), a new key to rotate to. For a name without data: a key for its first publish,
        for OFFER_LIFETIME; it is derived and not stored, since anybody may ask for any name. `wire`: the format that
        the caller uses. `permit`: as for `new_key`. Raises: what `permit` does; GoneCollection, CollectionExists (the
        collection is in another format), NotThere and RevisionMoved (it kept changing), NotStored,
        ServerKeysUnavailable and ClockJumped (a new key).
        """
        state = self._store.load(gun, only=(ROOT,))
        _refuse_other_format(state, wire)
        if state.status is Status.LIVE:
            root = wire.parse(ROOT, state.files[ROOT].raw).root
            return held_key(state, root, role, wire) or self.new_key(gun, role, at, wire=wire, permit=permit, by=by)
        self.check_clock(at)
        return self._offers.newest(state, role, at)

    def other_offer(self, gun: GUN, role: RoleName, at: datetime, *, wire: WireFormat, by: Actor = NOBODY) -> KeyRecord:
        """Return another key than `key` does for the first publish of a name without data.

        If there is data by now, this is `key`. Raises: as `key`.
        """
        state = self._store.load(gun, only=(ROOT,))
        _refuse_other_format(state, wire)
        if state.status is Status.LIVE:
            return self.key(gun, role, at, wire=wire, by=by)
        self.check_clock(at)
        return self._offers.another(state, role, at)

    def new_key(
        self,
        gun: GUN,
        role: RoleName,
        at: datetime,
        *,
        wire: WireFormat,
        permit: Callable[[], None] = lambda: None,
        by: Actor = NOBODY,
    ) -> KeyRecord:
        """Return a new key to rotate to, made for `by`. It becomes CURRENT with a root that names it.

        The same key is returned again until OFFER_LIFETIME is over. `permit`: is called before a key is stored.
        Raises: what `permit` does; NotThere (no such collection), GoneCollection, CollectionExists (the collection is
        in another format), NotStored, RevisionMoved (the collection kept changing), ClockJumped,
        ServerKeysUnavailable.
        """
        for attempt in range(ATTEMPTS):
            state = self._store.load(gun, only=(ROOT,))
            _refuse_other_format(state, wire)
            if state.status is not Status.LIVE:
                raise NotThere(what=f"collection {gun}")
            for key in state.keys:
                is_new = at - key.created < OFFER_LIFETIME and key.place == self._keys.new_place
                if key.role == role and key.state is KeyState.PENDING and is_new:
                    return key
            self.check_clock(at)
            permit()
            record = self._keys.make(gun, role, KeyState.PENDING, at)
            try:
                self._store.add_pending(record, base=state.revision, event=_key_made(state, record, by, at))
            except RevisionMoved:
                if attempt == ATTEMPTS - 1:
                    raise
                continue
            return record
        raise NotThere(what=f"collection {gun}")

    def check_clock(self, at: datetime) -> None:
        """Check that the clock, which says `at`, may be signed with. Raises: ClockJumped, NotStored."""
        self._clock_guard.check(at)

    def clock_is_early(self, at: datetime) -> bool:
        """Return whether the clock, which was checked, is taken to be behind (`ClockGuard.is_early`)."""
        return self._clock_guard.is_early(at)

    # -- signing --------------------------------------------------------------------------------------------

    def issue(
        self,
        state: StoredCollection,
        *,
        served_format: ServedFormat,
        root: Root,
        stored: Mapping[RoleName, Envelope],
        changed: Iterable[Envelope],
        at: datetime,
        minimum_versions: Mapping[RoleName, int] | None = None,
    ) -> Issued:
        """Make and sign the next snapshot, which lists the `changed` roles, and the next timestamp.

        They are signed with exactly the keys that `root` names. `stored`: the current files. `minimum_versions`: the
        lowest version that either may get, by role; without it they get the next one. Raises: ClockJumped,
        ServerKeyNotUsed (root names other keys), KeyFileMalformed (a key cannot be decrypted), ServerKeysUnavailable,
        SigningFailed, TooLarge (the snapshot).
        """
        self.check_clock(at)
        state = self._offers.add(state, at)
        keys = {role: _named_key(state, root, role, served_format.wire) for role in ONLINE}
        snapshot = self._signed(
            next_snapshot(
                previous=stored.get(SNAPSHOT),
                changed=changed,
                at=at,
                lifetime=served_format.wire.lifetimes.of(SNAPSHOT),
                least=(minimum_versions or {}).get(SNAPSHOT, 1),
                wire=served_format.wire,
            ),
            keys[SNAPSHOT],
            served_format.wire,
        )
        minimum_version = (minimum_versions or {}).get(TIMESTAMP, 1)
        return self._issue_timestamp_for(
            snapshot, stored.get(TIMESTAMP), keys, served_format, at, minimum_version=minimum_version
        )

    def issue_timestamp(
        self,
        state: StoredCollection,
        *,
        served_format: ServedFormat,
        root: Root,
        stored: Mapping[RoleName, Envelope],
        at: datetime,
        snapshot: Envelope | None = None,
        minimum_version: int = 1,
    ) -> Issued:
        """Make and sign the next timestamp. It lists `snapshot`, which its owner signed, or else the stored snapshot.

        Raises: ClockJumped, ServerKeyNotUsed (root names another key), KeyFileMalformed (a key cannot be decrypted),
        ServerKeysUnavailable, SigningFailed.
        """
        self.check_clock(at)
        state = self._offers.add(state, at)
        keys = {TIMESTAMP: _named_key(state, root, TIMESTAMP, served_format.wire)}
        snapshot_key = held_key(state, root, SNAPSHOT, served_format.wire)
        if snapshot_key is not None:
            keys[SNAPSHOT] = snapshot_key
        return self._issue_timestamp_for(
            snapshot or stored[SNAPSHOT],
            stored.get(TIMESTAMP),
            keys,
            served_format,
            at,
            minimum_version=minimum_version,
        )

    def _issue_timestamp_for(
        self,
        snapshot: Envelope,
        previous: Envelope | None,
        keys: Mapping[RoleName, KeyRecord],
        served_format: ServedFormat,
        at: datetime,
        *,
        minimum_version: int,
    ) -> Issued:
        """Make and sign the timestamp that lists `snapshot`. `keys`: of the online roles that the server signs."""
        lifetime = served_format.wire.lifetimes.of(TIMESTAMP)
        timestamp = self._signed(
            next_timestamp(
                previous=previous,
                snapshot=snapshot,
                at=at,
                lifetime=lifetime,
                least=minimum_version,
                wire=served_format.wire,
            ),
            keys[TIMESTAMP],
            served_format.wire,
        )
        server_held = [envelope for envelope in (snapshot, timestamp) if envelope.role in keys]
        return Issued(
            served_format=served_format,
            at=at,
            snapshot=snapshot,
            timestamp=timestamp,
            promoted_keys=tuple(key for key in keys.values() if key.state is not KeyState.CURRENT),
            renew_at=min(renewal_time(envelope, served_format.wire) for envelope in server_held),
            by_early_clock=self.clock_is_early(at),
        )

    def _signed(self, content: Content, key: KeyRecord, wire: WireFormat) -> Envelope:
        with self._keys.in_use():
            return sign(content, [self._signer(key, wire)], role=key.role, wire=wire)

    def _signer(self, key: KeyRecord, wire: WireFormat) -> Signer:
        cache_key = (wire.name, key.keyid)
        with self._lock:
            signer = self._signers.get(cache_key)
            if signer is not None:
                self._signers.move_to_end(cache_key)
                return signer
        signer = wire.signer(self._keys.open(key))
        with self._lock:
            self._signers[cache_key] = signer
            while len(self._signers) > LOADED_KEYS:
                self._signers.popitem(last=False)
        return signer


def _key_made(state: StoredCollection, key: KeyRecord, by: Actor, at: datetime) -> NewEvent:
    keyid = encoded_key(key, wire_named(state.format)).keyid
    details = {"format": state.format, "revision": state.revision + 1, "role": key.role, "keyid": keyid}
    return NewEvent(kind=EventKind.KEY_MADE, at=at, by=by, gun=key.gun, details=details)


def renewal_time(envelope: Envelope, wire: WireFormat) -> datetime:
    """Return when an online role must be signed again: when half of its lifetime is over."""
    return renewal_due(envelope.expires, wire.lifetimes.of(envelope.role))


def lives_too_long(envelope: Envelope, wire: WireFormat, at: datetime) -> bool:
    """Return whether an online role expires later than one that is signed now: a clock was ahead when it was signed."""
    return outlives(envelope.expires, wire.lifetimes.of(envelope.role), at=at)


def held_key(state: StoredCollection, root: Root, role: RoleName, wire: WireFormat) -> KeyRecord | None:
    """Return the server-held key that `root` names for an online role; None if root names only keys of others."""
    keyids = root.roles[role].keyids
    return next((key for key in state.keys if key.role == role and encoded_key(key, wire).keyid in keyids), None)


def encoded_key(key: KeyRecord, wire: WireFormat) -> Key:
    """Return the public part of a server-held key in the encoding of a format; the key id differs by format."""
    return _encoded_key(key.keyid, key.public, wire.name)


@lru_cache(maxsize=4096)
def _encoded_key(keyid: str, public: str, wire: str) -> Key:
    return wire_named(wire).encode_key(Key.from_dict(keyid, json.loads(public)))


def _named_key(state: StoredCollection, root: Root, role: RoleName, wire: WireFormat) -> KeyRecord:
    """Return the server-held key of a role. Raises: ServerKeyNotUsed unless root names it alone, with threshold 1."""
    role_keys = root.roles[role]
    held = {encoded_key(key, wire).keyid: key for key in state.keys if key.role == role}
    if len(role_keys.keyids) != 1 or role_keys.threshold != 1 or role_keys.keyids[0] not in held:
        keyids = ", ".join(sorted(held)) or "none yet: ask for one first"
        raise ServerKeyNotUsed(
            role=role, reason=f"root must name exactly the server's {role} key with threshold 1 (held: {keyids})"
        )
    return held[role_keys.keyids[0]]


def gone_collection(gun: GUN, tombstone: Tombstone) -> GoneCollection:
    """Return the error that tells a client of a deleted collection and its tombstone."""
    return GoneCollection(
        gun=gun,
        deleted_root=f"sha256:{tombstone.root_sha256}",
        versions=tombstone.versions,
        deleted_at=to_rfc3339(tombstone.deleted_at),
        subject=tombstone.subject,
    )


def released_name(gun: GUN, tombstone: Tombstone) -> ReleasedName:
    """Return the error that tells of a free name, and of the collection that had it."""
    gone = gone_collection(gun, tombstone)
    return ReleasedName(
        gun=gun,
        deleted_root=gone.deleted_root,
        versions=gone.versions,
        deleted_at=gone.deleted_at,
        subject=gone.subject,
    )


def _refuse_other_format(state: StoredCollection, wire: WireFormat) -> None:
    """Refuse a collection that was deleted, or that is in another format. Raises: GoneCollection, CollectionExists."""
    refuse_tombstone(state)
    if state.status is Status.LIVE and state.format != wire.name:
        reason = f"is in format {state.format}: its keys are not to be had in {wire.name}'s way"
        raise CollectionExists(role="collection", reason=reason)


def refuse_tombstone(state: StoredCollection) -> None:
    """Refuse a collection that was deleted and whose name was not released. Raises: GoneCollection."""
    if state.status is Status.DELETED and state.tombstone is not None:
        raise gone_collection(state.gun, state.tombstone)
