"""Keys of the actors in tests, by name. Generated once per process, and worth nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec
from securesystemslib.signer import CryptoSigner

from keys.algorithms import EncodedKey, key_fingerprint
from keys.certificate import root_certificate
from keys.notary import NotaryKey
from trustdata.gun import GUN
from trustdata.model import Key, Signer
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY

CERTIFIED = datetime(2026, 10, 1, tzinfo=UTC)
"""When certificates of root keys are made."""


@cache
def private(name: str) -> ec.EllipticCurvePrivateKey:
    """The actor's private key (ECDSA P-256): the same name, the same key."""
    del name
    return ec.generate_private_key(ec.SECP256R1())


@cache
def signer(name: str) -> CryptoSigner:
    """The actor's signer, as TUF wants it."""
    return CryptoSigner(private(name))


@cache
def ed25519_signer(name: str) -> CryptoSigner:
    """An Ed25519 key, whose public part is plain hex."""
    del name
    return CryptoSigner.generate_ed25519()


@cache
def weak_rsa_signer() -> CryptoSigner:
    """A key that parses, with a signature scheme that nobody accepts."""
    return CryptoSigner.generate_rsa(size=2048, scheme="rsa-pkcs1v15-sha256")


def key(name: str) -> Key:
    """The actor's public key."""
    return signer(name).public_key


def keyid(name: str) -> str:
    return signer(name).public_key.keyid


@cache
def certificate(name: str, gun: str, number: int = 1) -> NotaryKey:
    """The actor's key in a certificate for a collection; each `number` another one."""
    del number
    return root_certificate(private(name), gun=gun, at=CERTIFIED)


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The actors' keys as one format writes them; root keys for one collection."""

    wire: WireFormat
    gun: GUN

    def signer(self, name: str) -> Signer:
        return self.wire.signer(private(name)) if self.wire is NOTARY else signer(name)

    def key(self, name: str) -> Key:
        return self.signer(name).public_key

    def keyid(self, name: str) -> str:
        return self.key(name).keyid

    def root_signer(self, name: str) -> Signer:
        """As a root names it: in Notary v1 in a certificate."""
        if not self.wire.certifies_root_keys:
            return self.signer(name)
        return self.wire.signer(private(name), certificate(name, self.gun))

    def root_key(self, name: str) -> Key:
        return self.root_signer(name).public_key

    def root_keyid(self, name: str) -> str:
        return self.root_key(name).keyid


class Ring:
    """`HeldKeys` of the publisher: the named keys, all of them open."""

    def __init__(self, *names: str) -> None:
        self._names = {key_fingerprint(key(name)): name for name in names}

    def held(self, keys: Mapping[str, Key]) -> frozenset[str]:
        return frozenset(keyid for keyid, key in keys.items() if key_fingerprint(key) in self._names)

    def opened(self, keys: Mapping[str, Key]) -> frozenset[str]:
        return self.held(keys)

    def signer(self, key: Key) -> Signer:
        name = self._names[key_fingerprint(key)]
        return NOTARY.signer(private(name), key) if isinstance(key, EncodedKey) else signer(name)
