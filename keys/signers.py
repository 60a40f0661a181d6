"""From a key in a store to something that signs."""

from __future__ import annotations

from typing import Final
from weakref import WeakKeyDictionary

from securesystemslib.signer import CryptoSigner, Key, SecretsHandler, Signature, Signer, SSlibKey

from keys.algorithms import EncodedKey, PrivateKey
from keys.errors import PassphraseWrong, SigningFailed
from keys.key_info import KeyInfo
from keys.passphrase import ATTEMPTS, PassphraseProvider
from keys.store import KeyStore

_opened: Final[WeakKeyDictionary[KeyStore, dict[str, FileSigner]]] = WeakKeyDictionary()


class FileSigner(Signer):
    """Signs with a private key that was opened from a store; errors name the key."""

    def __init__(self, private: PrivateKey, info: KeyInfo) -> None:
        self.private = private
        self._signer = CryptoSigner(private, info.public)
        self._described = info.described

    @property
    def public_key(self) -> SSlibKey:
        """The TUF key object, under its default id."""
        return self._signer.public_key

    def sign(self, payload: bytes) -> Signature:
        """Sign the bytes. Raises: SigningFailed."""
        try:
            return self._signer.sign(payload)
        except Exception as error:  # whatever a cryptographic back end raises, the caller must learn which key it was
            raise SigningFailed(key=self._described, reason=type(error).__name__) from error

    def under(self, key: Key) -> Signer:
        """What signs with the same private key under the id of `key`, which is its public part as a document writes it.

        Raises: ValueError if it is another key.
        """
        if not isinstance(key, EncodedKey):
            return self
        from keys.notary import NotaryKey  # Notary v1 only: start-up time
        from keys.notary_signer import NotarySigner

        return NotarySigner(self.private, NotaryKey.of(key.keytype, key.keyval["public"]))

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
    ) -> FileSigner:
        """Not offered: a key of a store is opened by `signer_for`, which knows whom to ask. Raises: SigningFailed."""
        del priv_key_uri, secrets_handler
        raise SigningFailed(key=public_key.keyid, reason="keys of the key store have no URI")


def signer_for(store: KeyStore, keyid: str, passphrases: PassphraseProvider) -> Signer:
    """The signer of a key of the store (id, name or the first digits of an id); a person may be asked three times.

    Opened once for each store object and key, and kept for the life of that object: opening costs 0.1 s and 32 MiB.
    Raises: KeyNotFound, KeyAmbiguous, PassphraseMissing, PassphraseUnreadable, PassphraseWrong,
    and what the store raises.
    """
    info = store.get(keyid)
    opened = _opened.setdefault(store, {})
    if info.keyid not in opened:
        opened[info.keyid] = FileSigner(ask_and_open(store, info, passphrases)[0], info)
    return opened[info.keyid]


def ask_and_open(store: KeyStore, info: KeyInfo, passphrases: PassphraseProvider) -> tuple[PrivateKey, str]:
    """The private key and the passphrase that opened it. Raises: as `signer_for`."""
    attempt = 1
    while True:
        passphrase = passphrases.passphrase(purpose=info.purpose, key=info.described, wrong_before=attempt > 1)
        try:
            return store.private(info.keyid, passphrase), passphrase
        except PassphraseWrong:
            if attempt == ATTEMPTS:
                raise
            attempt += 1
