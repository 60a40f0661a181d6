"""What each kind of key URI can do."""

from __future__ import annotations

from typing import Protocol

from keys.algorithms import Algorithm, PrivateKey, PublicKey
from keys.key_info import Purpose
from keys.passphrase import PassphraseProvider
from keys.record import record


@record
class FoundKey:
    """The public half of a key, and the URI by which exactly this key is found again."""

    public: PublicKey
    uri: str


class KeyKind(Protocol):
    """A kind of key URI. `purpose`: of the key, for its passphrase."""

    def check(self, uri: str) -> None:
        """Check that the URI can be read, and names a key. Nothing is opened. Raises: KeyUriMalformed."""

    def find(self, uri: str, passphrases: PassphraseProvider, purpose: Purpose) -> FoundKey:
        """Return the public half of the key. Raises: KeysError."""

    def open(self, uri: str, public: PublicKey, passphrases: PassphraseProvider, purpose: Purpose) -> PrivateKey:
        """Return the private key, which signs where it is. `public`: its public half. Raises: KeysError."""

    def make(
        self, uri: str, algorithm: Algorithm, name: str, passphrases: PassphraseProvider, purpose: Purpose
    ) -> FoundKey:
        """Make a new key there. Raises: KeyUriMalformed, if keys of this kind are made elsewhere; KeysError."""
