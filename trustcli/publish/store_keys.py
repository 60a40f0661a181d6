"""The private keys that a command can use: those of the key store, and extra ones for one run (recovery, new keys)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from keys.algorithms import key_fingerprint, matching_keyids
from keys.passphrase import PassphraseProvider
from keys.signers import FileSigner, signer_for
from keys.store import KeyStore
from trustdata.model import Key, Signer


class StoreKeys:
    """The `HeldKeys` of a real publisher: each key is opened once, when it first signs.

    Keys are compared by fingerprint, not by key id: Notary v1 writes the same key differently, under another id.
    """

    def __init__(self, store: KeyStore, passphrases: PassphraseProvider, extra: Iterable[Signer] = ()) -> None:
        """Take `extra`, signers that are open already and need not be in the store."""
        self._store = store
        self._passphrases = passphrases
        self._opened: dict[str, Signer] = {key_fingerprint(signer.public_key): signer for signer in extra}

    @cached_property
    def _stored(self) -> dict[str, str]:
        """The key ids of the store by fingerprint."""
        return {key_fingerprint(info.public): info.keyid for info in self._store.list()}

    def held(self, keys: Mapping[str, Key]) -> frozenset[str]:
        """Return the ids of those of `keys` that could sign."""
        return matching_keyids(keys, self._stored.keys() | self._opened.keys())

    def opened(self, keys: Mapping[str, Key]) -> frozenset[str]:
        """Return the ids of those of `keys` that sign without asking for a passphrase."""
        return matching_keyids(keys, self._opened.keys())

    def add(self, signer: Signer) -> None:
        """Add a key for the rest of this run."""
        self._opened[key_fingerprint(signer.public_key)] = signer

    def signer(self, key: Key) -> Signer:
        """Open a held key, and return a signer that signs under the id of `key`. Raises: KeysError."""
        fingerprint = key_fingerprint(key)
        if fingerprint not in self._opened:
            self._opened[fingerprint] = signer_for(self._store, self._stored[fingerprint], self._passphrases)
        signer = self._opened[fingerprint]
        return signer.under(key) if isinstance(signer, FileSigner) else signer
