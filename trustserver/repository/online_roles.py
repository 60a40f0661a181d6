"""Server-held keys and what is signed with them: snapshot and timestamp, a key for each of them per collection."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from threading import Lock
from typing import Final

from keys.algorithms import Algorithm, PrivateKey, generate
from keys.material import read_private_der, tuf_key, write_private_der
from trustdata.editing.derived_roles import next_snapshot, next_timestamp
from trustdata.editing.signing import sign
from trustdata.envelope import Envelope
from trustdata.errors import CollectionExists, ServerKeyNotUsed
from trustdata.expiry import half_life
from trustdata.gun import GUN
from trustdata.model import Key, Root, Signer
from trustdata.roles import ONLINE, ROOT, SNAPSHOT, TIMESTAMP, RoleName
from trustdata.wire import WireFormat
from trustdata.wire.formats import wire_named
from trustserver.errors import GoneCollection, NotThere, RevisionMoved
from trustserver.repository.formats import ServedFormat
from trustserver.storage.ports import KeyRecord, KeySealer, KeyState, MetadataStore, Status, StoredCollection, Tombstone

MAX_OFFERED_KEYS: Final = 10_000
"""Keys handed out for names without data, over all names: whoever may ask must not fill the disk."""
OFFER_LIFETIME: Final = timedelta(hours=24)
"""An offered key is dropped after this; a pending one may be replaced after it."""
LOADED_KEYS: Final = 1024
"""Private keys kept open in memory."""
_ATTEMPTS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """Snapshot and timestamp; what the server holds the key of was signed `at` that instant, in the format's way.

    `used`: keys that are not current yet, but named by the root.
    """

    served_format: ServedFormat
    at: datetime
    snapshot: Envelope
    timestamp: Envelope
    promoted_keys: tuple[KeyRecord, ...]
    renew_at: datetime


class OnlineRoles:
    """Makes, keeps, rotates and uses the server's keys."""

    def __init__(self, store: MetadataStore, sealer: KeySealer) -> None:
        self._store = store
        self._sealer = sealer
        self._lock = Lock()
        self._signers: OrderedDict[tuple[str, str], Signer] = OrderedDict()

    # -- keys -----------------------------------------------------------------------------------------------

    def key(self, gun: GUN, role: RoleName, at: datetime, *, wire: WireFormat) -> KeyRecord:
        """The key that root names, or, for a name without data, one that is kept for its first publish.

        Where root names another's key (Notary v1's owners may hold the snapshot's), one to rotate to. `wire`: who asks
        speaks this format. Raises: GoneCollection, CollectionExists (in another format), NotStored (too many names wait
        for their first publish).
        """
        for _ in range(_ATTEMPTS):
            state = self._store.load(gun)
            _refuse_other_format(state, wire)
            if state.status is Status.LIVE:
                root = wire.parse(ROOT, state.files[ROOT].raw).root
                return held_key(state, root, role, wire) or self.new_key(gun, role, at, wire=wire)
            for key in state.keys:
                if key.role == role and key.state is KeyState.OFFERED:
                    return key
            try:
                self._store.drop_offers(before=at - OFFER_LIFETIME)
                return self._store.offer(self._make(gun, role, KeyState.OFFERED, at), limit=MAX_OFFERED_KEYS)
            except RevisionMoved:
                continue
        raise NotThere(what=f"{role} key of {gun}")

    def new_key(self, gun: GUN, role: RoleName, at: datetime, *, wire: WireFormat) -> KeyRecord:
        """A key to rotate to: the next root that names it makes it current. Asked again within a day: the same one.

        Raises: NotThere (no such collection), GoneCollection, CollectionExists (in another format), NotStored,
        RevisionMoved (too much traffic).
        """
        for attempt in range(_ATTEMPTS):
            state = self._store.load(gun)
            _refuse_other_format(state, wire)
            if state.status is not Status.LIVE:
                raise NotThere(what=f"collection {gun}")
            for key in state.keys:
                if key.role == role and key.state is KeyState.PENDING and at - key.created < OFFER_LIFETIME:
                    return key
            made = self._make(gun, role, KeyState.PENDING, at)
            try:
                self._store.add_pending(made, base=state.revision)
            except RevisionMoved:
                if attempt == _ATTEMPTS - 1:
                    raise
                continue
            return made
        raise NotThere(what=f"collection {gun}")

    def drop_stale_offers(self, at: datetime) -> int:
        """Forget the keys that nobody published with within a day; how many."""
        return self._store.drop_offers(before=at - OFFER_LIFETIME)

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
        least: Mapping[RoleName, int] | None = None,
    ) -> Issued:
        """The next snapshot, in which the `changed` roles are new, and the next timestamp.

        `least`: the lowest version that either may have, where it is to be above the next one. Signed with exactly the
        keys that `root` names. Raises: ServerKeyNotUsed, KeyFileMalformed, SigningFailed, TooLarge (the snapshot).
        """
        keys = {role: _named_key(state, root, role, served_format.wire) for role in ONLINE}
        snapshot = sign(
            next_snapshot(
                previous=stored.get(SNAPSHOT),
                changed=changed,
                at=at,
                lifetime=served_format.wire.lifetimes.of(SNAPSHOT),
                least=(least or {}).get(SNAPSHOT, 1),
                wire=served_format.wire,
            ),
            [self._signer(keys[SNAPSHOT], served_format.wire)],
            role=SNAPSHOT,
            wire=served_format.wire,
        )
        return self._issue_over(
            snapshot, stored.get(TIMESTAMP), keys, served_format, at, least=(least or {}).get(TIMESTAMP, 1)
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
        least: int = 1,
    ) -> Issued:
        """The next timestamp, over the stored snapshot, or over one that its owner signed. Raises: as `issue`."""
        keys = {TIMESTAMP: _named_key(state, root, TIMESTAMP, served_format.wire)}
        held = held_key(state, root, SNAPSHOT, served_format.wire)
        if held is not None:
            keys[SNAPSHOT] = held
        return self._issue_over(
            snapshot or stored[SNAPSHOT], stored.get(TIMESTAMP), keys, served_format, at, least=least
        )

    def _issue_over(
        self,
        snapshot: Envelope,
        previous: Envelope | None,
        keys: Mapping[RoleName, KeyRecord],
        served_format: ServedFormat,
        at: datetime,
        *,
        least: int,
    ) -> Issued:
        """`keys`: of the roles that are the server's to renew."""
        lifetime = served_format.wire.lifetimes.of(TIMESTAMP)
        timestamp = sign(
            next_timestamp(
                previous=previous, snapshot=snapshot, at=at, lifetime=lifetime, least=least, wire=served_format.wire
            ),
            [self._signer(keys[TIMESTAMP], served_format.wire)],
            role=TIMESTAMP,
            wire=served_format.wire,
        )
        server_held = [envelope for envelope in (snapshot, timestamp) if envelope.role in keys]
        return Issued(
            served_format=served_format,
            at=at,
            snapshot=snapshot,
            timestamp=timestamp,
            promoted_keys=tuple(key for key in keys.values() if key.state is not KeyState.CURRENT),
            renew_at=min(renewal_of(envelope, served_format.wire) for envelope in server_held),
        )

    def _make(self, gun: GUN, role: RoleName, state: KeyState, at: datetime) -> KeyRecord:
        return sealed_record(generate(Algorithm.ECDSA_P256), self._sealer, gun=gun, role=role, state=state, at=at)

    def _signer(self, key: KeyRecord, wire: WireFormat) -> Signer:
        place = (wire.name, key.keyid)
        with self._lock:
            signer = self._signers.get(place)
            if signer is not None:
                self._signers.move_to_end(place)
                return signer
        opened = self._sealer.open(key.sealed, gun=key.gun, role=key.role, keyid=key.keyid)
        private = read_private_der(opened, place=f"the sealed {key.role} key {key.keyid}")
        signer = wire.signer(private)
        with self._lock:
            self._signers[place] = signer
            while len(self._signers) > LOADED_KEYS:
                self._signers.popitem(last=False)
        return signer


def sealed_record(
    private: PrivateKey, sealer: KeySealer, *, gun: GUN, role: RoleName, state: KeyState, at: datetime
) -> KeyRecord:
    """A server's key as it is kept: the public part as a TUF key object, the private part sealed for its place."""
    public = tuf_key(private)
    return KeyRecord(
        gun=gun,
        role=role,
        keyid=public.keyid,
        public=json.dumps(public.to_dict(), sort_keys=True, separators=(",", ":")),
        sealed=sealer.seal(write_private_der(private), gun=gun, role=role, keyid=public.keyid),
        state=state,
        created=at.replace(microsecond=0),
    )


def renewal_of(envelope: Envelope, wire: WireFormat) -> datetime:
    """The instant at which an online role is to be signed again: half of its life."""
    return half_life(envelope.expires, wire.lifetimes.of(envelope.role))


def held_key(state: StoredCollection, root: Root, role: RoleName, wire: WireFormat) -> KeyRecord | None:
    """The server's key that `root` names for an online role; None if its owner holds that role's."""
    named = root.roles[role].keyids
    return next((key for key in state.keys if key.role == role and encoded_key(key, wire).keyid in named), None)


def encoded_key(key: KeyRecord, wire: WireFormat) -> Key:
    """The public part of a server-held key as a format writes it."""
    return _encoded_key(key.keyid, key.public, wire.name)


@lru_cache(maxsize=4096)
def _encoded_key(keyid: str, public: str, wire: str) -> Key:
    return wire_named(wire).encode_key(Key.from_dict(keyid, json.loads(public)))


def _named_key(state: StoredCollection, root: Root, role: RoleName, wire: WireFormat) -> KeyRecord:
    named = root.roles[role]
    held = {encoded_key(key, wire).keyid: key for key in state.keys if key.role == role}
    if len(named.keyids) != 1 or named.threshold != 1 or named.keyids[0] not in held:
        wanted = ", ".join(sorted(held)) or "none yet: ask for one first"
        raise ServerKeyNotUsed(
            role=role, reason=f"root must name exactly the server's {role} key with threshold 1 (held: {wanted})"
        )
    return held[named.keyids[0]]


def gone_collection(gun: GUN, tombstone: Tombstone) -> GoneCollection:
    """A tombstone as the outside sees it."""
    return GoneCollection(
        gun=gun,
        deleted_root=f"sha256:{tombstone.root_sha256}",
        versions=tombstone.versions,
        deleted_at=tombstone.deleted_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        subject=tombstone.subject,
    )


def _refuse_other_format(state: StoredCollection, wire: WireFormat) -> None:
    """Raises: GoneCollection, CollectionExists."""
    refuse_tombstone(state)
    if state.status is Status.LIVE and state.format != wire.name:
        reason = f"is in format {state.format}: its keys are not to be had in {wire.name}'s way"
        raise CollectionExists(role="collection", reason=reason)


def refuse_tombstone(state: StoredCollection) -> None:
    """Raises: GoneCollection if the name was deleted and not released."""
    if state.status is Status.DELETED and state.tombstone is not None:
        raise gone_collection(state.gun, state.tombstone)
