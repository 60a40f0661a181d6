"""Server-held keys and what is signed with them: snapshot and timestamp, a key for each of them per collection."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from securesystemslib.signer import CryptoSigner

from keys.algorithms import Algorithm
from keys.material import generate, read_private_der, tuf_key, write_private_der
from trustdata.editing.derived_roles import next_snapshot, next_timestamp
from trustdata.editing.signing import sign
from trustdata.envelope import Envelope
from trustdata.errors import ServerKeyNotUsed
from trustdata.expiry import Lifetimes, half_life
from trustdata.gun import GUN
from trustdata.model import Root, Signer
from trustdata.roles import ONLINE, SNAPSHOT, TIMESTAMP, RoleName
from trustdata.wire import WireFormat
from trustserver.errors import GoneCollection, NotThere, RevisionMoved
from trustserver.storage.ports import Collection, KeyRecord, KeySealer, KeyState, MetadataStore, Status, Tombstone

MAX_OFFERED_KEYS: Final = 10_000
"""Keys handed out for names without data, over all names: whoever may ask must not fill the disk."""
OFFER_LIFETIME: Final = timedelta(hours=24)
"""An offered key is dropped after this; a pending one may be replaced after it."""
LOADED_KEYS: Final = 1024
"""Private keys kept open in memory."""
_ATTEMPTS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """Snapshot and timestamp, signed. `used`: keys that are not current yet, but named by the root."""

    snapshot: Envelope
    timestamp: Envelope
    used: tuple[KeyRecord, ...]
    renew_at: datetime


class OnlineRoles:
    """Makes, keeps, rotates and uses the server's keys."""

    def __init__(self, store: MetadataStore, sealer: KeySealer, wire: WireFormat, lifetimes: Lifetimes) -> None:
        self._store = store
        self._sealer = sealer
        self._wire = wire
        self._lifetimes = lifetimes
        self._lock = Lock()
        self._open: OrderedDict[str, Signer] = OrderedDict()

    # -- keys -----------------------------------------------------------------------------------------------

    def key(self, gun: GUN, role: RoleName, at: datetime) -> KeyRecord:
        """The current key, or, for a name without data, one that is kept for its first publish.

        Raises: GoneCollection, NotStored (too many names wait for their first publish).
        """
        for _ in range(_ATTEMPTS):
            state = self._store.load(gun)
            refuse_tombstone(state)
            wanted = KeyState.CURRENT if state.status is Status.LIVE else KeyState.OFFERED
            for key in state.keys:
                if key.role == role and key.state is wanted:
                    return key
            try:
                self._store.drop_offers(before=at - OFFER_LIFETIME)
                return self._store.offer(self._make(gun, role, KeyState.OFFERED, at), limit=MAX_OFFERED_KEYS)
            except RevisionMoved:
                continue
        raise NotThere(what=f"{role} key of {gun}")

    def new_key(self, gun: GUN, role: RoleName, at: datetime) -> KeyRecord:
        """A key to rotate to: the next root that names it makes it current. Asked again within a day: the same one.

        Raises: NotThere (no such collection), GoneCollection, NotStored, RevisionMoved (too much traffic).
        """
        for attempt in range(_ATTEMPTS):
            state = self._store.load(gun)
            refuse_tombstone(state)
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
        state: Collection,
        *,
        root: Root,
        stored: Mapping[RoleName, Envelope],
        changed: Iterable[Envelope],
        at: datetime,
        least: Mapping[RoleName, int] | None = None,
    ) -> Issued:
        """The next snapshot, in which the `changed` targets roles are new, and the next timestamp.

        `least`: the lowest version that either may have, where it is to be above the next one. Signed with exactly the
        keys that `root` names. Raises: ServerKeyNotUsed, KeyFileMalformed, SigningFailed, TooLarge (the snapshot).
        """
        keys = {role: self._named_key(state, root, role) for role in ONLINE}
        snapshot = sign(
            next_snapshot(
                previous=stored.get(SNAPSHOT),
                changed=changed,
                at=at,
                lifetime=self._lifetimes.of(SNAPSHOT),
                least=(least or {}).get(SNAPSHOT, 1),
                wire=self._wire,
            ),
            [self._signer(keys[SNAPSHOT])],
            role=SNAPSHOT,
            wire=self._wire,
        )
        return self._under(snapshot, stored.get(TIMESTAMP), keys, at, least=(least or {}).get(TIMESTAMP, 1))

    def issue_timestamp(
        self, state: Collection, *, root: Root, stored: Mapping[RoleName, Envelope], at: datetime
    ) -> Issued:
        """The next timestamp over the stored snapshot. Raises: as `issue`."""
        keys = {role: self._named_key(state, root, role) for role in ONLINE}
        return self._under(stored[SNAPSHOT], stored[TIMESTAMP], keys, at)

    def renewal_of(self, role: RoleName, expires: datetime) -> datetime:
        """The instant at which an online role with this expiry is to be signed again: half of its life."""
        return half_life(expires, self._lifetimes.of(role))

    def _under(
        self,
        snapshot: Envelope,
        previous: Envelope | None,
        keys: Mapping[RoleName, KeyRecord],
        at: datetime,
        *,
        least: int = 1,
    ) -> Issued:
        lifetime = self._lifetimes.of(TIMESTAMP)
        timestamp = sign(
            next_timestamp(
                previous=previous, snapshot=snapshot, at=at, lifetime=lifetime, least=least, wire=self._wire
            ),
            [self._signer(keys[TIMESTAMP])],
            role=TIMESTAMP,
            wire=self._wire,
        )
        return Issued(
            snapshot=snapshot,
            timestamp=timestamp,
            used=tuple(key for key in keys.values() if key.state is not KeyState.CURRENT),
            renew_at=min(self.renewal_of(SNAPSHOT, snapshot.expires), self.renewal_of(TIMESTAMP, timestamp.expires)),
        )

    def _named_key(self, state: Collection, root: Root, role: RoleName) -> KeyRecord:
        named = root.roles[role]
        held = {key.keyid: key for key in state.keys if key.role == role}
        if len(named.keyids) != 1 or named.threshold != 1 or named.keyids[0] not in held:
            wanted = ", ".join(sorted(held)) or "none yet: ask for one first"
            raise ServerKeyNotUsed(
                role=role, reason=f"root must name exactly the server's {role} key with threshold 1 (held: {wanted})"
            )
        return held[named.keyids[0]]

    def _make(self, gun: GUN, role: RoleName, state: KeyState, at: datetime) -> KeyRecord:
        private = generate(Algorithm.ECDSA_P256)
        public = tuf_key(private)
        sealed = self._sealer.seal(write_private_der(private), gun=gun, role=role, keyid=public.keyid)
        return KeyRecord(
            gun=gun,
            role=role,
            keyid=public.keyid,
            public=json.dumps(public.to_dict(), sort_keys=True, separators=(",", ":")),
            sealed=sealed,
            state=state,
            created=at.replace(microsecond=0),
        )

    def _signer(self, key: KeyRecord) -> Signer:
        with self._lock:
            signer = self._open.get(key.keyid)
            if signer is not None:
                self._open.move_to_end(key.keyid)
                return signer
        opened = self._sealer.open(key.sealed, gun=key.gun, role=key.role, keyid=key.keyid)
        private = read_private_der(opened, place=f"the sealed {key.role} key {key.keyid}")
        signer = CryptoSigner(private, tuf_key(private))
        with self._lock:
            self._open[key.keyid] = signer
            while len(self._open) > LOADED_KEYS:
                self._open.popitem(last=False)
        return signer


def gone(gun: GUN, tombstone: Tombstone) -> GoneCollection:
    """A tombstone as the outside sees it."""
    return GoneCollection(
        gun=gun,
        deleted_root=f"sha256:{tombstone.root_sha256}",
        versions=tombstone.versions,
        deleted_at=tombstone.deleted_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        subject=tombstone.subject,
    )


def refuse_tombstone(state: Collection) -> None:
    """Raises: GoneCollection if the name was deleted and not released."""
    if state.status is Status.DELETED and state.tombstone is not None:
        raise gone(state.gun, state.tombstone)
