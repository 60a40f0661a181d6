"""Signers for the keys of a key store."""

from __future__ import annotations

import threading
from functools import partial
from typing import Final
from weakref import WeakKeyDictionary

from securesystemslib.signer import CryptoSigner, Key, SecretsHandler, Signature, Signer, SSlibKey

from keys.algorithms import EncodedKey, PrivateKey, public_key_of
from keys.errors import KeyElsewhere, KeysError, SigningFailed
from keys.key_info import KeyInfo
from keys.passphrase import PassphraseProvider, ask_and_try
from keys.store import KeyStore

_opening: Final = threading.Lock()
_opened: Final[WeakKeyDictionary[KeyStore, dict[str, FileSigner]]] = WeakKeyDictionary()


class FileSigner(Signer):
    """A signer with a private key that is open here: in memory, or where it lives. Its errors name the key."""

    def __init__(self, private: PrivateKey, info: KeyInfo) -> None:
        self.private = private
        self._signer = CryptoSigner(private, info.public)
        self._described = info.described

    @property
    def public_key(self) -> SSlibKey:
        """The public key as a TUF key object, under its default id."""
        return self._signer.public_key

    def sign(self, payload: bytes) -> Signature:
        """Sign the bytes. Raises: SigningFailed; of a key that lives elsewhere, what its holder raises."""
        try:
            return self._signer.sign(payload)
        except KeysError:  # of a key that lives elsewhere: it says more
            raise
        except Exception as error:  # cryptographic back ends raise anything; the error must name the key
            raise SigningFailed(key=self._described, reason=type(error).__name__) from error

    def under(self, key: Key) -> Signer:
        """Return a signer with the same private key whose signatures carry the key id of `key`.

        `key`: the same public key in the encoding of a document. Raises: ValueError if it is another key.
        """
        if not isinstance(key, EncodedKey):
            return self
        # Imported here because only Notary v1 needs it, and start-up must stay fast.
        from keys.notary import NotaryKey
        from keys.notary_signer import NotarySigner

        return NotarySigner(self.private, NotaryKey.of(key.keytype, key.keyval["public"]))

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
    ) -> FileSigner:
        """Refuse to open a key by URI: keys of a store are opened by `signer_for`. Raises: SigningFailed."""
        del priv_key_uri, secrets_handler
        raise SigningFailed(key=public_key.keyid, reason="keys of the key store have no URI")


def signer_for(store: KeyStore, keyid: str, passphrases: PassphraseProvider) -> Signer:
    """Return the signer of a key of the store, wherever it lives. `keyid`: the id, a name, or digits of an id.

    The user may be asked for the passphrase several times (`keys.passphrase.ask_and_try`). The opened key is kept as
    long as the store object lives, because opening costs 0.1 s and 32 MiB.

    Raises: KeyNotFound, KeyAmbiguous, PassphraseMissing, PassphraseUnreadable, PassphraseWrong, KeyStoreInsecure,
    KeyStoreUnreadable, KeyFileMalformed, KeyNotAccepted; of a key that lives elsewhere, as `keys.key_opening.open_key`.
    """
    info = store.get(keyid)
    with _opening:  # of several threads, the first one asks
        opened = _opened.setdefault(store, {})
        if info.keyid not in opened:
            opened[info.keyid] = FileSigner(_private(store, info, passphrases), info)
        return opened[info.keyid]


def _private(store: KeyStore, info: KeyInfo, passphrases: PassphraseProvider) -> PrivateKey:
    if not info.uri:
        return ask_and_open(store, info, passphrases)[0]
    from keys.key_opening import open_key  # few keys live elsewhere: start-up time

    return open_key(info.uri, public_key_of(info.public), passphrases, info.purpose)


def keep_open(store: KeyStore, keyid: str, signer: FileSigner) -> None:
    """Let `signer_for` return this signer, with a key that was just added to the store."""
    _opened.setdefault(store, {})[keyid] = signer


def ask_and_open(store: KeyStore, info: KeyInfo, passphrases: PassphraseProvider) -> tuple[PrivateKey, str]:
    """Ask for the passphrase of a key and open it; return the private key and the passphrase.

    Raises: KeyElsewhere, if it is not in the store; KeyNotFound, PassphraseMissing, PassphraseUnreadable,
    PassphraseWrong, KeyStoreInsecure, KeyStoreUnreadable, KeyFileMalformed, KeyNotAccepted.
    """
    if info.uri:
        raise KeyElsewhere(key=info.described, uri=info.uri)
    return ask_and_try(passphrases, partial(store.private, info.keyid), purpose=info.purpose, key=info.described)
