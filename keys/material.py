"""Read and write private and public keys in standard forms: PEM, DER and TUF key objects."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final, TypeAlias, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.signer import SSlibKey

from keys.algorithms import PrivateKey, PublicKey, algorithm_of, is_private_key, public_key_of
from keys.errors import KeyFileMalformed, KeyNotAccepted, PassphraseMissing, PassphraseWrong

AnyKey: TypeAlias = PrivateKey | PublicKey

_PEM: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\r?\n(.*?)-----END \1-----", re.DOTALL)
_DER_SEQUENCE: Final = 0x30
_DER_LONG_FORM: Final = 0x80
_MIN_DER: Final = 2
MAX_KEY_FILE: Final = 65_536
"""The maximum size of a key file, in bytes. An encrypted RSA key of 8192 bits has about 6 700."""


def tuf_key(key: AnyKey, *, named: str = "key") -> SSlibKey:
    """Return the public part of a key as a TUF key object without extra members, under its default id.

    The id is the SHA-256 of the canonical JSON of the key object (TUF specification 1.0, section 4.2). `named`: the
    name of the key in error messages. Raises: KeyNotAccepted.
    """
    algorithm_of(key, named=named)
    return SSlibKey.from_crypto(key.public_key() if is_private_key(key) else cast("PublicKey", key))


def read_private_pem(data: bytes, passphrase: bytes | None, *, place: str) -> PrivateKey:
    """Read a private key from PEM: PKCS#8, plain or encrypted, or the older forms SEC 1 and PKCS#1.

    A passphrase for a key that is not encrypted is ignored. `place`: the name of the source in error messages.
    Raises: KeyFileMalformed, KeyNotAccepted, PassphraseMissing, PassphraseWrong.
    """
    _check_pem_block(data, place=place)
    encrypted = is_encrypted_pem(data)
    if encrypted and not passphrase:
        raise PassphraseMissing(key=place, sources=())
    try:
        key = load_pem_private_key(data, passphrase if encrypted else None)
    except (ValueError, TypeError) as error:
        if encrypted:
            raise PassphraseWrong(key=place) from error
        raise KeyFileMalformed(place=place, reason="no private key in it") from error
    except UnsupportedAlgorithm as error:
        raise KeyNotAccepted(key=place, reason="its algorithm or encryption is not supported") from error
    return _check_private(key, place=place)


def is_encrypted_pem(data: bytes) -> bool:
    """Return whether the PEM text declares that it is encrypted (PKCS#8, or `Proc-Type` of the older forms)."""
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in data or b"Proc-Type: 4,ENCRYPTED" in data


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


def read_public_pem(data: bytes, *, place: str) -> SSlibKey:
    """Read a public key from PEM (`PUBLIC KEY`) as a TUF key object under its default id.

    A file with a private key is refused with a message of its own, because its holder should not have sent it.
    Raises: KeyFileMalformed, KeyNotAccepted.
    """
    label = _check_pem_block(data, place=place)
    if "PRIVATE" in label:
        raise KeyFileMalformed(place=place, reason="it holds a private key where a public key is wanted")
    try:
        key = load_pem_public_key(data)
    except (ValueError, TypeError) as error:
        raise KeyFileMalformed(place=place, reason="no public key in it") from error
    except UnsupportedAlgorithm as error:
        raise KeyNotAccepted(key=place, reason="its algorithm is not supported") from error
    return tuf_key(cast("PublicKey", key), named=place)  # which refuses every other key


def write_public_pem(key: SSlibKey) -> bytes:
    """Write a public key as PEM (`PUBLIC KEY`). Raises: KeyNotAccepted."""
    # Decoded and encoded again, because the PEM in a key object may have any white space.
    return public_key_of(key).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _check_private(key: object, *, place: str) -> PrivateKey:
    algorithm_of(key, named=place)
    return cast("PrivateKey", key)


def _check_pem_block(data: bytes, *, place: str) -> str:
    """Return the label of the only PEM block, after a check that the block is complete. Raises: KeyFileMalformed.

    Without this check, a truncated file would be reported as a wrong passphrase.
    """
    if len(data) > MAX_KEY_FILE:
        raise KeyFileMalformed(place=place, reason=f"larger than {MAX_KEY_FILE} bytes")
    blocks: list[tuple[bytes, bytes]] = _PEM.findall(data)
    if len(blocks) != 1:
        raise KeyFileMalformed(
            place=place, reason="no PEM block in it" if not blocks else "more than one PEM block in it"
        )
    label, body = blocks[0]
    content = b"".join(line.strip() for line in body.splitlines() if b":" not in line)  # skip headers such as Proc-Type
    try:
        der = base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise KeyFileMalformed(place=place, reason="its PEM is not base64") from error
    if b"Proc-Type" not in body and not _is_one_sequence(der):
        raise KeyFileMalformed(place=place, reason="its content is cut or altered")
    return label.decode()


def _is_one_sequence(der: bytes) -> bool:
    """Return whether the bytes are exactly one DER SEQUENCE, judged by its outer length."""
    if len(der) < _MIN_DER or der[0] != _DER_SEQUENCE:
        return False
    if der[1] < _DER_LONG_FORM:
        return len(der) == 2 + der[1]
    width = der[1] - _DER_LONG_FORM
    return len(der) == 2 + width + int.from_bytes(der[2 : 2 + width])
