"""Private key files of Notary v1: what `docker` and `notary` keep under `private/`.

PEM with headers that name the role (and, for the keys of one collection, the collection), and two contents that
no library reads: EC keys as version 1 of PKCS#8 without the public key that belongs to it, and Ed25519 keys under an
object identifier of GnuPG's with the public key around the seed. Encrypted: PBES2, PBKDF2-HMAC-SHA1, AES-256-CBC.
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
_MOST_ITERATIONS: Final = 10_000_000
_ITERATIONS: Final = 100_000
"""Of what we write. Theirs is 2 048; they read any number, and a file of ours takes them 0.05 s."""
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
    initial: bytes


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
    """One key file, still closed. `role`: `root`, `targets`, `snapshot` or a delegation's name; `gun`: "" if many."""

    place: str
    role: str
    gun: str
    encrypted: bool
    content: bytes = field(repr=False)

    def open(self, passphrase: bytes | None) -> PrivateKey:
        """The key. A passphrase for a key that is not encrypted is ignored.

        Raises: PassphraseMissing, PassphraseWrong, KeyFileMalformed, KeyNotAccepted.
        """
        if not self.encrypted:
            return self._accepted(self.content)
        if not passphrase:
            raise PassphraseMissing(key=self.place, sources=())
        encrypted = self._decoded(_EncryptedPrivateKeyInfo, self.content)
        if not _is_supported(encrypted):
            raise KeyNotAccepted(key=self.place, reason="its encryption is not supported")
        plain = _decrypted(encrypted, passphrase)
        if plain is None:
            raise PassphraseWrong(key=self.place)
        try:
            return self._accepted(plain)
        except KeyFileMalformed as error:  # a wrong passphrase leaves sound padding behind once in 256 times
            raise PassphraseWrong(key=self.place) from error

    def _accepted(self, content: bytes) -> PrivateKey:
        info = self._decoded(_PrivateKeyInfo, content)
        try:
            key = _private_key(info)
        except (ValueError, TypeError) as error:
            raise KeyFileMalformed(place=self.place, reason="no private key in it") from error
        except UnsupportedAlgorithm as error:
            raise KeyNotAccepted(key=self.place, reason="its algorithm is not supported") from error
        algorithm_of(key, named=self.place)
        return key

    def _decoded(self, kind: type[_Sequence], content: bytes) -> _Sequence:
        try:
            return asn1.decode_der(kind, content)
        except ValueError as error:
            raise KeyFileMalformed(place=self.place, reason="its content is cut or altered") from error


def read_notary_key_file(data: bytes, *, place: str) -> NotaryKeyFile | None:
    """The file, if it is one of Notary v1's: PEM with a `role` header; None for every other.

    Raises: KeyFileMalformed.
    """
    if len(data) > MAX_KEY_FILE:
        raise KeyFileMalformed(place=place, reason=f"larger than {MAX_KEY_FILE} bytes")
    found = _PEM.fullmatch(data)
    if found is None:
        return None
    try:
        headers = dict(line.split(": ", 1) for line in found[2].decode().splitlines())
        content = base64.b64decode(found[3].replace(b"\n", b""), validate=True)
    except ValueError as error:
        raise KeyFileMalformed(place=place, reason="its PEM is not base64, or its headers are no text") from error
    if "role" not in headers:
        return None
    return NotaryKeyFile(
        place=place,
        role=headers["role"],
        gun=headers.get("gun", ""),
        encrypted=found[1].startswith(b"ENCRYPTED"),
        content=content,
    )


def write_notary_key_file(private: PrivateKey, *, role: str, gun: str, passphrase: bytes) -> bytes:
    """A key file as both programs load it: encrypted, with the headers that say what it is for. `gun`: "" if many.

    The file belongs under `private/`, named after Notary's id of the bare key. Its key derivation is weaker than our
    own envelope's: PBKDF2 with SHA-1. Raises: PassphraseMissing.
    """
    if not passphrase:
        raise PassphraseMissing(key="the exported key", sources=())
    salt, initial = os.urandom(_SALT_BYTES), os.urandom(_BLOCK_BYTES)
    kdf = PBKDF2HMAC(algorithm=SHA1(), length=32, salt=salt, iterations=_ITERATIONS)  # noqa: S303 - theirs
    padder = PKCS7(128).padder()
    padded = padder.update(_private_key_info(private)) + padder.finalize()
    encryptor = Cipher(AES256(kdf.derive(passphrase)), CBC(initial)).encryptor()
    content = _EncryptedPrivateKeyInfo(
        algorithm=_Pbes2(
            oid=_PBES2,
            parameters=_Pbes2Parameters(
                derivation=_Pbkdf2(oid=_PBKDF2, parameters=_Pbkdf2Parameters(salt=salt, iterations=_ITERATIONS)),
                encryption=_AesCbc(oid=_AES256_CBC, initial=initial),
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
    """As theirs are: of an EC key with its curve in both places, and no public key outside."""
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
    return oids == (_PBES2, _PBKDF2, _AES256_CBC) and 0 < iterations <= _MOST_ITERATIONS


def _decrypted(info: _EncryptedPrivateKeyInfo, passphrase: bytes) -> bytes | None:
    """What is in it, or None with a wrong passphrase."""
    derivation = info.algorithm.parameters.derivation.parameters
    kdf = PBKDF2HMAC(algorithm=SHA1(), length=32, salt=derivation.salt, iterations=derivation.iterations)  # noqa: S303 - theirs
    try:
        cipher = Cipher(AES256(kdf.derive(passphrase)), CBC(info.algorithm.parameters.encryption.initial))
        decryptor, unpadder = cipher.decryptor(), PKCS7(128).unpadder()
        padded = decryptor.update(info.encrypted) + decryptor.finalize()
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        return None


def _private_key(info: _PrivateKeyInfo) -> PrivateKey:
    """Raises: ValueError, TypeError, UnsupportedAlgorithm."""
    oid = _algorithm(info.algorithm)
    if oid == _ED25519:
        if len(info.private_key) != _ED25519_BYTES:
            raise ValueError("must be public key, seed and public key")
        public, seed, again = (info.private_key[at : at + 32] for at in (0, 32, 64))
        ed25519 = Ed25519PrivateKey.from_private_bytes(seed)
        if ed25519.public_key().public_bytes_raw() != public or public != again:
            raise ValueError("the public key does not belong to the seed")
        return ed25519
    if oid not in {_EC, _RSA}:
        raise UnsupportedAlgorithm(oid.dotted_string)
    key = load_der_private_key(info.private_key, None)  # SEC 1 or PKCS #1, as it lies in PKCS #8
    if not isinstance(key, EllipticCurvePrivateKey if oid == _EC else RSAPrivateKey):
        raise TypeError("is another key than it says")
    return key


def _algorithm(encoded: asn1.TLV) -> ObjectIdentifier:
    """Raises: ValueError."""
    for kind in (_EcAlgorithm, _RsaAlgorithm, _BareAlgorithm):
        try:
            algorithm: _EcAlgorithm | _RsaAlgorithm | _BareAlgorithm = encoded.parse(kind)
        except ValueError:
            continue
        return algorithm.oid
    raise ValueError("no algorithm in it")
