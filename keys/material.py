"""Read and write private and public keys in the standard forms: PEM, DER, TUF key objects."""

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
_SHORTEST_DER: Final = 2
MAX_KEY_FILE: Final = 65_536
"""Bytes; an encrypted RSA key of 8192 bits has about 6 700."""


def tuf_key(key: AnyKey, *, named: str = "key") -> SSlibKey:
    """The public part as a TUF key object without extra members, under its default id.

    The id is SHA-256 over the canonical JSON of the key object (TUF 1.0, 4.2). Raises: KeyNotAccepted.
    """
    algorithm_of(key, named=named)
    return SSlibKey.from_crypto(key.public_key() if is_private_key(key) else cast("PublicKey", key))


def read_private_pem(data: bytes, passphrase: bytes | None, *, place: str) -> PrivateKey:
    """Read a private key from PEM: PKCS#8 plain or encrypted, or the older SEC 1 and PKCS#1 forms.

    A passphrase for a key that is not encrypted is ignored. `place` names the source in errors.
    Raises: KeyFileMalformed, KeyNotAccepted, PassphraseMissing, PassphraseWrong.
    """
    _check_frame(data, place=place)
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
    return _accepted_private(key, place=place)


def is_encrypted_pem(data: bytes) -> bool:
    """Whether the PEM says of itself that it needs a passphrase (PKCS#8, or `Proc-Type` of the older forms)."""
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in data or b"Proc-Type: 4,ENCRYPTED" in data


def write_private_pem(private: PrivateKey, passphrase: bytes | None) -> bytes:
    """PKCS#8 PEM, encrypted if there is a passphrase (PBES2: a weaker key derivation than our sealed envelope's).

    Raises: PassphraseMissing for an empty passphrase: None is the way to say "plain".
    """
    encryption: KeySerializationEncryption = NoEncryption()
    if passphrase is not None:
        if not passphrase:
            raise PassphraseMissing(key="the exported key", sources=())
        encryption = BestAvailableEncryption(passphrase)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def read_private_der(data: bytes, *, place: str) -> PrivateKey:
    """Read a plain PKCS#8 DER key. Raises: KeyFileMalformed, KeyNotAccepted."""
    try:
        key = load_der_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise KeyFileMalformed(place=place, reason="no private key in it") from error
    except UnsupportedAlgorithm as error:
        raise KeyNotAccepted(key=place, reason="its algorithm is not supported") from error
    return _accepted_private(key, place=place)


def write_private_der(private: PrivateKey) -> bytes:
    """Plain PKCS#8 DER: secret, for sealing only."""
    return private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def read_public_pem(data: bytes, *, place: str) -> SSlibKey:
    """Read `PUBLIC KEY` PEM as a TUF key object under its default id.

    A file with a private key is refused in words: it should not have travelled.
    Raises: KeyFileMalformed, KeyNotAccepted.
    """
    label = _check_frame(data, place=place)
    if "PRIVATE" in label:
        raise KeyFileMalformed(place=place, reason="it holds a private key where a public key is wanted")
    try:
        key = load_pem_public_key(data)
    except (ValueError, TypeError) as error:
        raise KeyFileMalformed(place=place, reason="no public key in it") from error
    except UnsupportedAlgorithm as error:
        raise KeyNotAccepted(key=place, reason="its algorithm is not supported") from error
    return tuf_key(_accepted_public(key, place=place), named=place)


def write_public_pem(key: SSlibKey) -> bytes:
    """`PUBLIC KEY` PEM of an accepted key. Raises: KeyNotAccepted."""
    # Read and written anew, so that the file is standard PEM whatever white space the key object has.
    return public_key_of(key).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _accepted_private(key: object, *, place: str) -> PrivateKey:
    algorithm_of(key, named=place)
    return cast("PrivateKey", key)


def _accepted_public(key: object, *, place: str) -> PublicKey:
    algorithm_of(key, named=place)
    return cast("PublicKey", key)


def _check_frame(data: bytes, *, place: str) -> str:
    """The label of the one PEM block; so that a cut file is not reported as a wrong passphrase."""
    if len(data) > MAX_KEY_FILE:
        raise KeyFileMalformed(place=place, reason=f"larger than {MAX_KEY_FILE} bytes")
    blocks = _PEM.findall(data)
    if len(blocks) != 1:
        raise KeyFileMalformed(
            place=place, reason="no PEM block in it" if not blocks else "more than one PEM block in it"
        )
    label, body = blocks[0]
    content = b"".join(line.strip() for line in body.splitlines() if b":" not in line)  # without Proc-Type and the like
    try:
        der = base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise KeyFileMalformed(place=place, reason="its PEM is not base64") from error
    if b"Proc-Type" not in body and not _is_one_sequence(der):
        raise KeyFileMalformed(place=place, reason="its content is cut or altered")
    return str(label, "ascii")


def _is_one_sequence(der: bytes) -> bool:
    """Whether the bytes are exactly one DER SEQUENCE, by its outer length."""
    if len(der) < _SHORTEST_DER or der[0] != _DER_SEQUENCE:
        return False
    if der[1] < _DER_LONG_FORM:
        return len(der) == 2 + der[1]
    width = der[1] - _DER_LONG_FORM
    return len(der) == 2 + width + int.from_bytes(der[2 : 2 + width])
