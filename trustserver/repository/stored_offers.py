"""Keys that are offered for names without data where keys are made in a token: they are stored.

A token has no way to derive a key again, as `offered_keys` does. So each is kept for two days, and of all names
together not more than a fixed number: the oldest make room.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from trustdata.roles import RoleName
from trustserver.repository.offered_keys import ALTERNATIVES, SALT_LIFETIME
from trustserver.repository.server_keys import ServerKeys
from trustserver.storage.key_port import ServerKeyStore
from trustserver.storage.ports import KeyRecord, KeyState, Status, StoredCollection

MOST: Final = 10_000
"""How many offered keys are kept. To push out one that somebody is about to publish with takes that many requests."""
_USABLE: Final = 2 * SALT_LIFETIME


class StoredOffers:
    """Makes and stores offered keys, as `OfferedKeys` derives them. May be called from several threads."""

    def __init__(self, keys: ServerKeys, store: ServerKeyStore) -> None:
        self._keys = keys
        self._store = store

    def newest(self, state: StoredCollection, role: RoleName, at: datetime) -> KeyRecord:
        """Return the key to offer for a role of a name without data. Raises: NotStored, ServerKeysUnavailable."""
        offered = [
            key
            for key in state.keys
            if key.role == role
            and key.state is KeyState.OFFERED
            and key.place == self._keys.new_place
            and abs(at - key.created) < SALT_LIFETIME
        ]
        return offered[-1] if offered else self.another(state, role, at)

    def another(self, state: StoredCollection, role: RoleName, at: datetime) -> KeyRecord:
        """Make another key for a role of a name without data. Raises: NotStored, ServerKeysUnavailable."""
        offer = self._keys.make(state.gun, role, KeyState.OFFERED, at)
        self._store.add_offer(offer, alive_since=at - _USABLE, of_role=ALTERNATIVES, most=MOST)
        return offer

    def add(self, state: StoredCollection, at: datetime) -> StoredCollection:
        """Return the state of a name without data with those of its offered keys that still count."""
        if state.status is Status.LIVE:
            return state
        usable = (key for key in state.keys if key.state is not KeyState.OFFERED or abs(at - key.created) < _USABLE)
        return replace(state, keys=tuple(usable))
