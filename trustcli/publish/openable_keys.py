"""The keys of one run over many collections: if one cannot be opened, the others still sign what they can."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping

from keys.algorithms import accepted_fingerprints, key_fingerprint, matching_keyids
from keys.errors import KeysError
from keys.passphrase import PassphraseProvider
from keys.store import KeyStore
from trustcli.publish.store_keys import StoreKeys
from trustdata.model import Key, Signer


class OpenableKeys(StoreKeys):
    """The keys of the store. One that could not be opened is not held from then on, so that it is asked for once."""

    def __init__(self, store: KeyStore, passphrases: PassphraseProvider, extra: Iterable[Signer] = ()) -> None:
        super().__init__(store, passphrases, extra)
        self._unopened: dict[str, KeysError] = {}

    @property
    def unopened(self) -> int:
        """How many keys could not be opened so far."""
        return len(self._unopened)

    def held(self, keys: Mapping[str, Key]) -> frozenset[str]:
        """Return the ids of those of `keys` that could sign."""
        return super().held(keys) - matching_keyids(keys, self._unopened.keys())

    def stored(self, keys: Mapping[str, Key]) -> frozenset[str]:
        """Return the ids of those of `keys` that are here, whether they can be opened or not."""
        return super().held(keys)

    def signer(self, key: Key) -> Signer:
        """Open a held key, and return a signer that signs under the id of `key`. Raises: KeysError."""
        try:
            return super().signer(key)
        except KeysError as failure:
            self._unopened[key_fingerprint(key)] = copy.copy(failure)  # it will know which collection it is about
            raise

    def hindrance(self, keys: Mapping[str, Key]) -> KeysError | None:
        """Return why one of `keys` could not be opened; None if none has failed."""
        found = sorted(accepted_fingerprints(keys.values()) & self._unopened.keys())
        return copy.copy(self._unopened[found[0]]) if found else None
