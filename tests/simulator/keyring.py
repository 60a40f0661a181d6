"""Keys of the actors in tests, by name. Generated once per process, and worth nothing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from securesystemslib.signer import CryptoSigner

from keys.algorithms import same_key_mark
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
        self._signers = {same_key_mark(key(name)): signer(name) for name in names}

    def held(self, keys: Mapping[str, Key]) -> frozenset[str]:
        return frozenset(keyid for keyid, key in keys.items() if same_key_mark(key) in self._signers)

    def opened(self, keys: Mapping[str, Key]) -> frozenset[str]:
        return self.held(keys)

    def signer(self, key: Key) -> CryptoSigner:
        return self._signers[same_key_mark(key)]
