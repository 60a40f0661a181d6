"""Private keys in PEM files: which keys a file holds, what they are for, and how they are opened.

Read are PKCS#8, plain or encrypted, and the older forms SEC 1 and PKCS#1, plain or encrypted as a whole; with the
headers `role` and `gun` that `docker` and `notary` write, or without. What else stands in the file is left alone:
certificates, public keys, EC parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from keys.algorithms import PrivateKey, algorithm_of
from keys.errors import KeyFileMalformed, PassphraseMissing
from keys.foreign_files import Wanted
from keys.old_pem_encryption import decrypt_pem_block
from keys.pem import PemBlock, lacking, read_pem
from keys.pkcs8 import decrypt, read_notary_ed25519, read_private_key

_ENCRYPTED_PKCS8: Final = "ENCRYPTED PRIVATE KEY"
_NOTARY_ED25519: Final = "ED25519 PRIVATE KEY"
_EC: Final = "EC PRIVATE KEY"
_RSA: Final = "RSA PRIVATE KEY"
_PRIVATE: Final = {"PRIVATE KEY", _ENCRYPTED_PKCS8, _EC, _RSA, _NOTARY_ED25519}


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateKeyBlock:
    """A private key of a PEM file that has not been decrypted.

    `place`: the file, and which of its keys it is if there are several. `role`: `root`, `targets`, `snapshot`, the name
    of a delegation, or "" if the file does not say. `gun`: the collection, "" if several or not said.
    """

    place: str
    role: str
    gun: str
    encrypted: bool
    block: PemBlock = field(repr=False)

    def open(self, passphrase: bytes | None) -> PrivateKey:
        """Return the private key. A passphrase for a key that is not encrypted is ignored.

        Raises: PassphraseMissing, PassphraseWrong, KeyFileMalformed, KeyNotAccepted.
        """
        content = self.block.content
        if self.encrypted:
            if not passphrase:
                raise PassphraseMissing(key=self.place, sources=())
            if self.block.encrypted_as_a_whole:
                content = decrypt_pem_block(self.block, passphrase, place=self.place)
            else:
                content = decrypt(content, passphrase, place=self.place)
        key = self._decode(content)
        algorithm_of(key, named=self.place)
        if (self.block.label == _EC and not isinstance(key, EllipticCurvePrivateKey)) or (
            self.block.label == _RSA and not isinstance(key, RSAPrivateKey)
        ):
            raise KeyFileMalformed(place=self.place, reason=f"it says {self.block.label} and holds another key")
        return cast("PrivateKey", key)

    def _decode(self, content: bytes) -> object:
        if self.block.label != _NOTARY_ED25519:
            return read_private_key(content, place=self.place)
        try:
            return read_notary_ed25519(content)
        except ValueError as error:
            raise KeyFileMalformed(place=self.place, reason="no private key in it") from error


def read_private_blocks(data: bytes, *, place: str, wanted: Wanted = "private key") -> tuple[PrivateKeyBlock, ...]:
    """Return the private keys of a PEM file, at least one.

    `place`: the name of the file in error messages. Raises: KeyFileMalformed, which says what the file holds instead.
    """
    blocks = read_pem(data, place=place, wanted=wanted)
    private = [block for block in blocks if block.label in _PRIVATE]
    foreign = [block for block in blocks if "PRIVATE" in block.label and block.label not in _PRIVATE]
    if foreign or not private:
        raise lacking(foreign or blocks, place=place, wanted=wanted)
    several = len(private) > 1
    return tuple(
        PrivateKeyBlock(
            place=f"{place} (key {number} of {len(private)})" if several else place,
            role=block.headers.get("role", ""),
            gun=block.headers.get("gun", ""),
            encrypted=block.label == _ENCRYPTED_PKCS8 or block.encrypted_as_a_whole,
            block=block,
        )
        for number, block in enumerate(private, 1)
    )


def read_private_pem(data: bytes, passphrase: bytes | None, *, place: str) -> PrivateKey:
    """Read the only private key of a PEM file. A passphrase for a key that is not encrypted is ignored.

    `place`: the name of the file in error messages.
    Raises: KeyFileMalformed, KeyNotAccepted, PassphraseMissing, PassphraseWrong.
    """
    return the_only_key(read_private_blocks(data, place=place), place=place).open(passphrase)


def the_only_key(blocks: Sequence[PrivateKeyBlock], *, place: str) -> PrivateKeyBlock:
    """Return the key where one is wanted. Raises: KeyFileMalformed if there are several."""
    if len(blocks) > 1:
        raise KeyFileMalformed(place=place, reason=f"it holds {len(blocks)} private keys where one is wanted")
    return blocks[0]
