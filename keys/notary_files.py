"""Private key files of Notary v1, as `docker` and `notary` store them under `private/`.

The files are PEM with headers that name the role and, for a key of one collection, the collection. No library reads two
of the contents: EC keys with version 1 of PKCS#8 but without the public key that this version carries, and Ed25519 keys
under an object identifier of GnuPG, with the public key before and after the seed.
Encryption: PBES2 with PBKDF2-HMAC-SHA1 and AES-256-CBC.
"""

from __future__ import annotations

import base64
import os
import re
from dataclasses import dataclass, field
from typing import Final, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key
from cryptography.x509 import ObjectIdentifier

from keys.algorithms import PrivateKey, algorithm_of
from keys.errors import KeyFileMalformed, KeyNotAccepted, PassphraseMissing, PassphraseWrong
from keys.material import MAX_KEY_FILE, write_private_der

_PEM: Final = re.compile(
    rb"-----BEGIN (ENCRYPTED PRIVATE KEY|PRIVATE KEY)-----\n"
    rb"((?:[a-zA-Z-]+: [^\n]*\n)+)\n([A-Za-z0-9+/=\n]+)-----END \1-----\n?"
)
_EC: Final = ObjectIdentifier("1.2.840.10045.2.1")
_RSA: Final = ObjectIdentifier("1.2.840.113549.1.1.1")
_ED25519: Final = ObjectIdentifier("1.3.6.1.4.1.11591.15.1")
_PBES2: Final = ObjectIdentifier("1.2.840.113549.1.5.13")
_PBKDF2: Final = ObjectIdentifier("1.2.840.113549.1.5.12")
_AES256_CBC: Final = ObjectIdentifier("2.16.840.1.101.3.4.1.42")
_CURVES: Final = {
    "secp256r1": ObjectIdentifier("1.2.840.10045.3.1.7"),
    "secp384r1": ObjectIdentifier("1.3.132.0.34"),
}
_MAX_ITERATIONS: Final = 10_000_000
_ITERATIONS: Final = 100_000
"""Iterations of PBKDF2 in the files that we write. Notary writes 2 048, reads any number, and needs 0.05 s for ours."""
_SALT_BYTES: Final = 8
_BLOCK_BYTES: Final = 16
_LINE: Final = 64
_ED25519_BYTES: Final = 96

_Sequence = TypeVar("_Sequence")


@asn1.sequence
class _EcAlgorithm:
    oid: ObjectIdentifier
    curve: ObjectIdentifier


@asn1.sequence
class _RsaAlgorithm:
    oid: ObjectIdentifier
    parameters: asn1.Null


@asn1.sequence
class _BareAlgorithm:
    oid: ObjectIdentifier


@asn1.sequence
class _PrivateKeyInfo:
    version: int
    algorithm: asn1.TLV
    private_key: bytes


@asn1.sequence
class _Pbkdf2Parameters:
    salt: bytes
    iterations: int


@asn1.sequence
class _Pbkdf2:
    oid: ObjectIdentifier
    parameters: _Pbkdf2Parameters


@asn1.sequence
class _AesCbc:
    oid: ObjectIdentifier
    iv: bytes


@asn1.sequence
class _Pbes2Parameters:
    derivation: _Pbkdf2
    encryption: _AesCbc


@asn1.sequence
class _Pbes2:
    oid: ObjectIdentifier
    parameters: _Pbes2Parameters


@asn1.sequence
class _EncryptedPrivateKeyInfo:
    algorithm: _Pbes2
    encrypted: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NotaryKeyFile:
    """A key file that has been parsed but not decrypted.

    `role`: `root`, `targets`, `snapshot` or the name of a delegation. `gun`: the collection, "" if several.
    """

    place: str
    role: str
    gun: str
    encrypted: bool
    content: bytes = field(repr=False)

    def open(self, passphrase: bytes | None) -> PrivateKey:
        """Return the private key. A passphrase for a key that is not encrypted is ignored.

        Raises: PassphraseMissing, PassphraseWrong, KeyFileMalformed, KeyNotAccepted.
        """
        if not self.encrypted:
            return self._read_private_key(self.content)
        if not passphrase:
            raise PassphraseMissing(key=self.place, sources=())
        encrypted = self._decode(_EncryptedPrivateKeyInfo, self.content)
        if not _is_supported(encrypted):
            raise KeyNotAccepted(key=self.place, reason="its encryption is not supported")
        plain = _decrypt(encrypted, passphrase)
        if plain is None:
            raise PassphraseWrong(key=self.place)
        try:
            return self._read_private_key(plain)
        except KeyFileMalformed as error:  # with a wrong passphrase the padding is valid by chance once in 256 times
            raise PassphraseWrong(key=self.place) from error

    def _read_private_key(self, content: bytes) -> PrivateKey:
        info = self._decode(_PrivateKeyInfo, content)
        try:
            key = _private_key(info)
        except (ValueError, TypeError) as error:
            raise KeyFileMalformed(place=self.place, reason="no private key in it") from error
        except UnsupportedAlgorithm as error:
            raise KeyNotAccepted(key=self.place, reason="its algorithm is not supported") from error
        algorithm_of(key, named=self.place)
        return key

    def _decode(self, kind: type[_Sequence], content: bytes) -> _Sequence:
        try:
            return asn1.decode_der(kind, content)
        except ValueError as error:
            raise KeyFileMalformed(place=self.place, reason="its content is cut or altered") from error


def read_notary_key_file(data: bytes, *, place: str) -> NotaryKeyFile | None:
    """Parse a key file of Notary v1 (PEM with a `role` header); return None if it is another kind of file.

    `place`: the name of the file in error messages. Raises: KeyFileMalformed.
    """
    if len(data) > MAX_KEY_FILE:
        raise KeyFileMalformed(place=place, reason=f"larger than {MAX_KEY_FILE} bytes")
    match = _PEM.fullmatch(data)
    if match is None:
        return None
    try:
        headers = dict(line.split(": ", 1) for line in match[2].decode().splitlines())
        content = base64.b64decode(match[3].replace(b"\n", b""), validate=True)
    except ValueError as error:
        raise KeyFileMalformed(place=place, reason="its PEM is not base64, or its headers are no text") from error
    if "role" not in headers:
        return None
    return NotaryKeyFile(
        place=place,
        role=headers["role"],
        gun=headers.get("gun", ""),
        encrypted=match[1].startswith(b"ENCRYPTED"),
        content=content,
    )


def write_notary_key_file(private: PrivateKey, *, role: str, gun: str, passphrase: bytes) -> bytes:
    """Write an encrypted key file that `docker` and `notary` can load.

    `gun`: the collection that the key signs, "" if several. Store the file under `private/`, named after the Notary id
    of the bare key. Its key derivation (PBKDF2 with SHA-1) is weaker than that of the sealed envelope
    (`keys.sealed_file`).

    Raises: PassphraseMissing for an empty passphrase.
    """
    if not passphrase:
        raise PassphraseMissing(key="the exported key", sources=())
    salt, iv = os.urandom(_SALT_BYTES), os.urandom(_BLOCK_BYTES)
    kdf = PBKDF2HMAC(algorithm=SHA1(), length=32, salt=salt, iterations=_ITERATIONS)  # noqa: S303 - Notary's format
    padder = PKCS7(128).padder()
    padded = padder.update(_private_key_info(private)) + padder.finalize()
    encryptor = Cipher(AES256(kdf.derive(passphrase)), CBC(iv)).encryptor()
    content = _EncryptedPrivateKeyInfo(
        algorithm=_Pbes2(
            oid=_PBES2,
            parameters=_Pbes2Parameters(
                derivation=_Pbkdf2(oid=_PBKDF2, parameters=_Pbkdf2Parameters(salt=salt, iterations=_ITERATIONS)),
                encryption=_AesCbc(oid=_AES256_CBC, iv=iv),
            ),
        ),
        encrypted=encryptor.update(padded) + encryptor.finalize(),
    )
    text = base64.b64encode(asn1.encode_der(content)).decode()
    headers = ([f"gun: {gun}"] if gun else []) + [f"role: {role}"]
    lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    name = "ENCRYPTED PRIVATE KEY"
    return "\n".join([f"-----BEGIN {name}-----", *headers, "", *lines, f"-----END {name}-----", ""]).encode()


def _private_key_info(private: PrivateKey) -> bytes:
    """Encode a private key as Notary does: the curve of an EC key twice, and no public key outside the EC key."""
    if isinstance(private, RSAPrivateKey):
        return write_private_der(private)
    if isinstance(private, EllipticCurvePrivateKey):
        algorithm = asn1.encode_der(_EcAlgorithm(oid=_EC, curve=_CURVES[private.curve.name]))
        content = private.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    else:
        algorithm = asn1.encode_der(_BareAlgorithm(oid=_ED25519))
        public = private.public_key().public_bytes_raw()
        content = public + private.private_bytes_raw() + public
    info = _PrivateKeyInfo(version=1, algorithm=asn1.decode_der(asn1.TLV, algorithm), private_key=content)
    return asn1.encode_der(info)


def _is_supported(info: _EncryptedPrivateKeyInfo) -> bool:
    parameters = info.algorithm.parameters
    oids = (info.algorithm.oid, parameters.derivation.oid, parameters.encryption.oid)
    iterations = parameters.derivation.parameters.iterations
    return oids == (_PBES2, _PBKDF2, _AES256_CBC) and 0 < iterations <= _MAX_ITERATIONS


def _decrypt(info: _EncryptedPrivateKeyInfo, passphrase: bytes) -> bytes | None:
    """Decrypt the content; return None if the passphrase is certainly wrong."""
    derivation = info.algorithm.parameters.derivation.parameters
    kdf = PBKDF2HMAC(algorithm=SHA1(), length=32, salt=derivation.salt, iterations=derivation.iterations)  # noqa: S303 - Notary's format
    try:
        cipher = Cipher(AES256(kdf.derive(passphrase)), CBC(info.algorithm.parameters.encryption.iv))
        decryptor, unpadder = cipher.decryptor(), PKCS7(128).unpadder()
        padded = decryptor.update(info.encrypted) + decryptor.finalize()
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        return None


def _private_key(info: _PrivateKeyInfo) -> PrivateKey:
    """Decode a private key. Raises: ValueError, TypeError, UnsupportedAlgorithm."""
    oid = _algorithm(info.algorithm)
    if oid == _ED25519:
        if len(info.private_key) != _ED25519_BYTES:
            raise ValueError("must be public key, seed and public key")
        public, seed, public_again = (info.private_key[at : at + 32] for at in (0, 32, 64))
        ed25519 = Ed25519PrivateKey.from_private_bytes(seed)
        if ed25519.public_key().public_bytes_raw() != public or public != public_again:
            raise ValueError("the public key does not belong to the seed")
        return ed25519
    if oid not in {_EC, _RSA}:
        raise UnsupportedAlgorithm(oid.dotted_string)
    key = load_der_private_key(info.private_key, None)  # PKCS#8 contains SEC 1 or PKCS#1
    if not isinstance(key, EllipticCurvePrivateKey if oid == _EC else RSAPrivateKey):
        raise TypeError("is another key than it says")
    return key


def _algorithm(encoded: asn1.TLV) -> ObjectIdentifier:
    """Return the object identifier of an algorithm, whatever its parameters are. Raises: ValueError."""
    for kind in (_EcAlgorithm, _RsaAlgorithm, _BareAlgorithm):
        try:
            algorithm: _EcAlgorithm | _RsaAlgorithm | _BareAlgorithm = encoded.parse(kind)
        except ValueError:
            continue
        return algorithm.oid
    raise ValueError("no algorithm in it")
