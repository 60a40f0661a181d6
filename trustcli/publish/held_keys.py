"""The private keys at hand: the key store's, and those brought along for one invocation (a recovery key, a new one)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from keys.algorithms import key_fingerprint
from keys.errors import KeyNotAccepted
from keys.passphrase import PassphraseProvider
from keys.signers import FileSigner, signer_for
from keys.store import KeyStore
from trustdata.model import Key, Signer


class StoreKeys:
    """`HeldKeys` of the publisher. A key is known by what it is, not by its id: documents of Notary v1 write the same
    key otherwise, under other ids. It is opened once, when it first signs.
    """

    def __init__(self, store: KeyStore, passphrases: PassphraseProvider, extra: Iterable[Signer] = ()) -> None:
        """`extra`: signers that are open already and that the store need not know."""
        self._store = store
        self._passphrases = passphrases
        self._opened: dict[str, Signer] = {key_fingerprint(signer.public_key): signer for signer in extra}

    @cached_property
    def _stored(self) -> dict[str, str]:
        """Key ids of the store, by mark."""
        return {key_fingerprint(info.public): info.keyid for info in self._store.list()}

    def held(self, keys: Mapping[str, Key]) -> frozenset[str]:
        """See HeldKeys."""
        return among(keys, self._stored.keys() | self._opened.keys())

    def opened(self, keys: Mapping[str, Key]) -> frozenset[str]:
        """See HeldKeys."""
        return among(keys, self._opened.keys())

    def add(self, signer: Signer) -> None:
        """One more key for this invocation."""
        self._opened[key_fingerprint(signer.public_key)] = signer

    def signer(self, key: Key) -> Signer:
        """See HeldKeys."""
        fingerprint = key_fingerprint(key)
        if fingerprint not in self._opened:
            self._opened[fingerprint] = signer_for(self._store, self._stored[fingerprint], self._passphrases)
        signer = self._opened[fingerprint]
        return signer.under(key) if isinstance(signer, FileSigner) else signer


def among(keys: Mapping[str, Key], fingerprints: Iterable[str]) -> frozenset[str]:
    """The ids of those keys that have one of the marks."""
    searched = set(fingerprints)
    return frozenset(keyid for keyid, key in keys.items() if _fingerprint(key) in searched)


def _fingerprint(key: Key) -> str:
    try:
        return key_fingerprint(key)
    except KeyNotAccepted:
        return ""  # nobody's: a document may name keys that we do not use
