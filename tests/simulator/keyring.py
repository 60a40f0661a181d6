"""Keys of the actors in tests, by name. Generated once per process, and worth nothing."""

from __future__ import annotations

from functools import cache

from securesystemslib.signer import CryptoSigner

from trustdata.model import Key


@cache
def signer(name: str) -> CryptoSigner:
    """The actor's signer (ECDSA P-256): the same name, the same key."""
    del name
    return CryptoSigner.generate_ecdsa()


@cache
def ed25519_signer(name: str) -> CryptoSigner:
    """An Ed25519 key, whose public part is plain hex."""
    del name
    return CryptoSigner.generate_ed25519()


def key(name: str) -> Key:
    """The actor's public key."""
    return signer(name).public_key


def keyid(name: str) -> str:
    return signer(name).public_key.keyid


class Ring:
    """`HeldKeys` of the publisher: the named keys, all of them open."""

    def __init__(self, *names: str) -> None:
        self._signers = {keyid(name): signer(name) for name in names}

    def held(self) -> frozenset[str]:
        return frozenset(self._signers)

    def opened(self) -> frozenset[str]:
        return frozenset(self._signers)

    def signer(self, keyid: str) -> CryptoSigner:
        return self._signers[keyid]
