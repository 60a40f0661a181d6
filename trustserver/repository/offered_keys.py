"""Derive the keys that are offered for names without data, so that nothing is stored until the first publish.

Anybody may ask for the keys of any name before its first publish. A key is derived from the seal key, a random salt in
the database, the name, the role and the revision of the name (HKDF, RFC 5869). The first publish, whose root names it,
stores it like any other key. A salt is used for a day and forgotten after two: from then on the seal key alone does not
give the keys that were derived with it.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import cycle
from threading import Lock
from typing import Final

from keys.algorithms import PrivateKey, derive_p256
from keys.material import tuf_key, write_private_der
from trustdata.gun import GUN
from trustdata.roles import ONLINE, RoleName
from trustserver.storage.ports import KeyRecord, KeySealer, KeyState, MetadataStore, OfferSalt, Status, StoredCollection

SALT_LIFETIME: Final = timedelta(hours=24)
"""For this time new keys are derived with a salt. They can be published with for as long again."""
ALTERNATIVES: Final = 4
"""How many keys a name without data may have offered with one salt: the one for everybody, and those to rotate to."""
_SALT_BYTES: Final = 32


class OfferedKeys:
    """Derives offered keys. May be called from several threads."""

    def __init__(self, store: MetadataStore, sealer: KeySealer) -> None:
        self._store = store
        self._sealer = sealer
        self._lock = Lock()
        self._numbers = cycle(range(1, ALTERNATIVES))

    def newest(self, state: StoredCollection, role: RoleName, at: datetime) -> KeyRecord:
        """Return the key to offer for a role of a name without data. Raises: NotStored."""
        return self._derived(state, role, self._salt(at), at)[0]

    def another(self, state: StoredCollection, role: RoleName, at: datetime) -> KeyRecord:
        """Return another key for a role of a name without data than `newest` does, and than the call before.

        Its owner rotates the key before the first publish. There are few of them, so that nothing must be stored to
        know them again. Raises: NotStored.
        """
        salt = self._salt(at)
        with self._lock:
            number = next(self._numbers)
        return self._derived(state, role, salt, at, number=number)[0]

    def add(self, state: StoredCollection, at: datetime) -> StoredCollection:
        """Return the state of a name with the keys that may have been offered for it, if it has no data."""
        if state.status is Status.LIVE:
            return state
        offered = [
            key
            for salt in self._usable(at)
            for role in ONLINE
            for number in range(ALTERNATIVES)
            for key in self._derived(state, role, salt, at, number=number)
        ]
        return replace(state, keys=(*state.keys, *offered))

    def _salt(self, at: datetime) -> OfferSalt:
        """Return the salt for new offers; a new one if the last has served its time. Raises: NotStored."""
        with self._lock:
            usable = self._usable(at)
            if usable and abs(at - usable[0].created) < SALT_LIFETIME:
                return usable[0]
            made = OfferSalt(created=at.replace(microsecond=0), salt=os.urandom(_SALT_BYTES))
            self._store.replace_offer_salts([made, *usable])
            return made

    def _usable(self, at: datetime) -> list[OfferSalt]:
        """Return the salts with which offered keys may have been derived that still count, the newest first."""
        return [salt for salt in self._store.offer_salts() if abs(at - salt.created) < 2 * SALT_LIFETIME]

    def _derived(
        self, state: StoredCollection, role: RoleName, salt: OfferSalt, at: datetime, *, number: int = 0
    ) -> list[KeyRecord]:
        """Return the key for each seal key that is accepted, the one for new offers first."""
        numbered = salt.salt + bytes([number]) if number else salt.salt
        secrets = self._sealer.derive(numbered, gun=state.gun, role=role, revision=state.revision)
        return [
            sealed_record(derive_p256(each), self._sealer, gun=state.gun, role=role, state=KeyState.OFFERED, at=at)
            for each in secrets
        ]


def sealed_record(
    private: PrivateKey, sealer: KeySealer, *, gun: GUN, role: RoleName, state: KeyState, at: datetime
) -> KeyRecord:
    """Make the record of a key for storage: public key as a TUF key object, private key sealed for this collection."""
    public = tuf_key(private)
    return KeyRecord(
        gun=gun,
        role=role,
        keyid=public.keyid,
        public=json.dumps(public.to_dict(), sort_keys=True, separators=(",", ":")),
        sealed=sealer.seal(write_private_der(private), gun=gun, role=role, keyid=public.keyid),
        state=state,
        created=at.replace(microsecond=0),
        seal=sealer.mark,
    )
