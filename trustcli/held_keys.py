"""The private keys at hand: the key store's, and those brought along for one invocation (a recovery key, a new one)."""

from __future__ import annotations

from collections.abc import Iterable

from keys.passphrase import PassphraseProvider
from keys.signers import signer_for
from keys.store import KeyStore
from trustdata.model import Signer


class StoreKeys:
    """`HeldKeys` of the publisher. A key is opened once, when it first signs."""

    def __init__(self, store: KeyStore, passphrases: PassphraseProvider, brought: Iterable[Signer] = ()) -> None:
        """`brought`: signers that are open already and that the store need not know."""
        self._store = store
        self._passphrases = passphrases
        self._opened: dict[str, Signer] = {signer.public_key.keyid: signer for signer in brought}
        self._held: frozenset[str] | None = None

    def held(self) -> frozenset[str]:
        if self._held is None:
            self._held = frozenset(info.keyid for info in self._store.list())
        return self._held | self.opened()

    def opened(self) -> frozenset[str]:
        return frozenset(self._opened)

    def bring(self, signer: Signer) -> None:
        """One more key for this invocation."""
        self._opened[signer.public_key.keyid] = signer

    def signer(self, keyid: str) -> Signer:
        if keyid not in self._opened:
            self._opened[keyid] = signer_for(self._store, keyid, self._passphrases)
        return self._opened[keyid]
