"""Write private and public keys as PEM and DER, read private ones from DER, and make TUF key objects of public ones.

PEM is read by `keys.private_blocks` and `keys.public_pem`.
"""

from __future__ import annotations

from typing import TypeAlias, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from securesystemslib.signer import SSlibKey

from keys.algorithms import PrivateKey, PublicKey, algorithm_of, is_private_key, public_key_of
from keys.errors import KeyFileMalformed, KeyNotAccepted, PassphraseMissing

AnyKey: TypeAlias = PrivateKey | PublicKey


def tuf_key(key: AnyKey, *, named: str = "key") -> SSlibKey:
    """Return the public part of a key as a TUF key object without extra members, under its default id.

    The id is the SHA-256 of the canonical JSON of the key object (TUF specification 1.0, section 4.2). `named`: the
    name of the key in error messages. Raises: KeyNotAccepted.
    """
    algorithm_of(key, named=named)
    return SSlibKey.from_crypto(key.public_key() if is_private_key(key) else cast("PublicKey", key))


def write_private_pem(private: PrivateKey, passphrase: bytes | None) -> bytes:
    """Write a private key as PKCS#8 PEM, encrypted if a passphrase is given.

    The encryption is PBES2, whose key derivation is weaker than that of the sealed envelope (`keys.sealed_file`). None
    writes a plain key. Raises: PassphraseMissing for an empty passphrase.
    """
    encryption: KeySerializationEncryption = NoEncryption()
    if passphrase is not None:
        if not passphrase:
            raise PassphraseMissing(key="the exported key", sources=())
        encryption = BestAvailableEncryption(passphrase)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def read_private_der(data: bytes, *, place: str) -> PrivateKey:
    """Read a private key from plain PKCS#8 DER. Raises: KeyFileMalformed, KeyNotAccepted."""
    try:
        key = load_der_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise KeyFileMalformed(place=place, reason="no private key in it") from error
    except UnsupportedAlgorithm as error:
        raise KeyNotAccepted(key=place, reason="its algorithm is not supported") from error
    return _check_private(key, place=place)


def write_private_der(private: PrivateKey) -> bytes:
    """Write a private key as plain PKCS#8 DER. The result is secret: encrypt it before it is stored."""
    return private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def write_public_pem(key: SSlibKey) -> bytes:
    """Write a public key as PEM (`PUBLIC KEY`). Raises: KeyNotAccepted."""
    # Decoded and encoded again, because the PEM in a key object may have any white space.
    return public_key_of(key).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _check_private(key: object, *, place: str) -> PrivateKey:
    algorithm_of(key, named=place)
    return cast("PrivateKey", key)
