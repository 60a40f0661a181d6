"""Private keys in PKCS#8: decrypt and encrypt (PBES2), and read what the `cryptography` library does not.

`docker` and `notary` write two contents that no library reads: EC keys with version 1 of PKCS#8 but without the public
key that this version carries, and Ed25519 keys under an object identifier of GnuPG, with the public key before and
after the seed. Their encryption is PBES2 with PBKDF2-HMAC-SHA1 and AES-256-CBC.
"""

from __future__ import annotations

import os
from typing import Annotated, Final, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    derive_private_key,
    get_curve_for_oid,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from cryptography.x509 import ObjectIdentifier

from keys.algorithms import PrivateKey
from keys.errors import KeyEncryptionUnknown, KeyFileMalformed, KeyNotAccepted, PassphraseWrong
from keys.scrypt_cost import ScryptCost
from keys.unpadding import NOTARY_ED25519_BYTES, unpad

_EC: Final = ObjectIdentifier("1.2.840.10045.2.1")
_RSA: Final = ObjectIdentifier("1.2.840.113549.1.1.1")
_NOTARY_ED25519: Final = ObjectIdentifier("1.3.6.1.4.1.11591.15.1")
_PBES2: Final = ObjectIdentifier("1.2.840.113549.1.5.13")
_PBKDF2: Final = ObjectIdentifier("1.2.840.113549.1.5.12")
_SCRYPT: Final = ObjectIdentifier("1.3.6.1.4.1.11591.4.11")
_PBES1: Final = frozenset({ObjectIdentifier("1.2.840.113549.1.5.3"), ObjectIdentifier("1.2.840.113549.1.12.1.3")})
"""MD5 and DES; SHA-1 and Triple DES."""
_HMAC_SHA1: Final = ObjectIdentifier("1.2.840.113549.2.7")
_AES256_CBC: Final = ObjectIdentifier("2.16.840.1.101.3.4.1.42")
_HASHES: Final[dict[ObjectIdentifier, type[hashes.HashAlgorithm]]] = {
    _HMAC_SHA1: hashes.SHA1,
    ObjectIdentifier("1.2.840.113549.2.8"): hashes.SHA224,
    ObjectIdentifier("1.2.840.113549.2.9"): hashes.SHA256,
    ObjectIdentifier("1.2.840.113549.2.10"): hashes.SHA384,
    ObjectIdentifier("1.2.840.113549.2.11"): hashes.SHA512,
}
_CIPHERS: Final[dict[ObjectIdentifier, tuple[type[AES | TripleDES], int]]] = {
    ObjectIdentifier("1.2.840.113549.3.7"): (TripleDES, 24),
    ObjectIdentifier("2.16.840.1.101.3.4.1.2"): (AES, 16),
    ObjectIdentifier("2.16.840.1.101.3.4.1.22"): (AES, 24),
    _AES256_CBC: (AES, 32),
}
"""By object identifier: the cipher and the length of its key in bytes; always in CBC mode."""
_MAX_ITERATIONS: Final = 10_000_000
_ITERATIONS: Final = 100_000
"""Iterations of PBKDF2 in the files that we write. Notary writes 2 048, reads any number, and needs 0.05 s for ours."""
_SALT_BYTES: Final = 8

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
class PrivateKeyInfo:
    """PKCS#8 without attributes and without a public key beside the private one."""

    version: int
    algorithm: asn1.TLV
    private_key: bytes


@asn1.sequence
class _EcPrivateKey:
    """SEC 1, C.4."""

    version: int
    number: bytes
    curve: Annotated[ObjectIdentifier | None, asn1.Explicit(0)]
    public: Annotated[asn1.BitString | None, asn1.Explicit(1)]


@asn1.sequence
class _PseudorandomFunction:
    oid: ObjectIdentifier
    parameters: asn1.Null | None


@asn1.sequence
class _Pbkdf2Parameters:
    salt: bytes
    iterations: int
    key_bytes: int | None
    function: _PseudorandomFunction | None


@asn1.sequence
class _Pbkdf2:
    oid: ObjectIdentifier
    parameters: _Pbkdf2Parameters


@asn1.sequence
class _CbcCipher:
    oid: ObjectIdentifier
    iv: bytes


@asn1.sequence
class _Pbes2Parameters:
    derivation: _Pbkdf2
    encryption: _CbcCipher


@asn1.sequence
class _Pbes2:
    oid: ObjectIdentifier
    parameters: _Pbes2Parameters


@asn1.sequence
class _Pbes1Parameters:
    salt: bytes
    iterations: int


@asn1.sequence
class _Pbes1:
    oid: ObjectIdentifier
    parameters: _Pbes1Parameters


@asn1.sequence
class _ScryptParameters:
    salt: bytes
    n: int
    r: int
    p: int
    key_bytes: int | None


@asn1.sequence
class _Scrypt:
    oid: ObjectIdentifier
    parameters: _ScryptParameters


@asn1.sequence
class _ScryptPbes2Parameters:
    derivation: _Scrypt
    encryption: _CbcCipher


@asn1.sequence
class _ScryptPbes2:
    oid: ObjectIdentifier
    parameters: _ScryptPbes2Parameters


@asn1.sequence
class EncryptedPrivateKeyInfo:
    """An encrypted PKCS#8 key, by whatever method."""

    algorithm: asn1.TLV
    encrypted: bytes


def decrypt(content: bytes, passphrase: bytes, *, place: str) -> bytes:
    """Return what is in an encrypted PKCS#8 key.

    Raises: PassphraseWrong; KeyFileMalformed (cut or altered); KeyNotAccepted (an encryption that is not supported, or
    whose key derivation would take for ever).
    """
    info = _decode(EncryptedPrivateKeyInfo, content, place=place)
    try:
        method: _Pbes2 = info.algorithm.parse(_Pbes2)
    except ValueError:
        return _decrypt_by_library(content, info.algorithm, passphrase, place=place)
    derivation, encryption = method.parameters.derivation.parameters, method.parameters.encryption
    _check_iterations(derivation.iterations, place=place)
    function = _HASHES.get(derivation.function.oid if derivation.function else _HMAC_SHA1)
    oids = (method.oid, method.parameters.derivation.oid)
    if oids != (_PBES2, _PBKDF2) or function is None or encryption.oid not in _CIPHERS:
        raise KeyEncryptionUnknown(key=place)
    cipher, key_bytes = _CIPHERS[encryption.oid]
    if derivation.key_bytes not in {None, key_bytes}:
        raise KeyEncryptionUnknown(key=place)
    block_bytes = cipher.block_size // 8
    if len(encryption.iv) != block_bytes or not info.encrypted or len(info.encrypted) % block_bytes:
        raise KeyFileMalformed(place=place, reason="its content is cut or altered")
    kdf = PBKDF2HMAC(algorithm=function(), length=key_bytes, salt=derivation.salt, iterations=derivation.iterations)
    decryptor = Cipher(cipher(kdf.derive(passphrase)), CBC(encryption.iv)).decryptor()
    return unpad(decryptor.update(info.encrypted) + decryptor.finalize(), block_bytes=block_bytes, place=place)


def _decrypt_by_library(content: bytes, algorithm: asn1.TLV, passphrase: bytes, *, place: str) -> bytes:
    """Decrypt what the library knows besides (scrypt, PBES1), if deriving the key costs no more than elsewhere.

    Raises: PassphraseWrong, KeyNotAccepted.
    """
    if not (_is_affordable_scrypt(algorithm, place=place) or _is_affordable_pbes1(algorithm, place=place)):
        raise KeyEncryptionUnknown(key=place)
    try:
        key = load_der_private_key(content, passphrase)
    except (ValueError, TypeError) as error:
        raise PassphraseWrong(key=place, or_altered=True) from error
    except UnsupportedAlgorithm as error:  # of the key in it, which the passphrase has opened, or of the encryption
        raise KeyNotAccepted(key=place, reason="its algorithm is not supported") from error
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _is_affordable_scrypt(algorithm: asn1.TLV, *, place: str) -> bool:
    """Return whether this is PBES2 with scrypt. Raises: KeyNotAccepted if deriving its key would take for ever."""
    try:
        parameters = algorithm.parse(_ScryptPbes2).parameters
    except ValueError:
        return False
    if parameters.derivation.oid != _SCRYPT or parameters.encryption.oid not in _CIPHERS:
        return False
    found = parameters.derivation.parameters
    cost = ScryptCost(n=found.n, r=found.r, p=found.p)
    if not cost.valid:
        return False
    if not cost.acceptable:
        raise KeyNotAccepted(key=place, reason="its encryption would take for ever")
    return True


def _is_affordable_pbes1(algorithm: asn1.TLV, *, place: str) -> bool:
    """Return whether this is PBES1. Raises: KeyNotAccepted if deriving its key would take for ever."""
    try:
        method = algorithm.parse(_Pbes1)
    except ValueError:
        return False
    _check_iterations(method.parameters.iterations, place=place)
    return method.oid in _PBES1


def _check_iterations(count: int, *, place: str) -> None:
    """Check that deriving a key takes not for ever. Raises: KeyNotAccepted."""
    if not 0 < count <= _MAX_ITERATIONS:
        raise KeyNotAccepted(key=place, reason=f"its encryption does not have 1 to {_MAX_ITERATIONS} iterations")


def encrypt_as_notary(plain: bytes, passphrase: bytes) -> bytes:
    """Return an encrypted PKCS#8 key as `docker` and `notary` write it, with more iterations."""
    salt, iv = os.urandom(_SALT_BYTES), os.urandom(AES.block_size // 8)
    kdf = PBKDF2HMAC(algorithm=hashes.SHA1(), length=32, salt=salt, iterations=_ITERATIONS)  # noqa: S303 - Notary's format
    padder = PKCS7(AES.block_size).padder()
    padded = padder.update(plain) + padder.finalize()
    encryptor = Cipher(AES(kdf.derive(passphrase)), CBC(iv)).encryptor()
    parameters = _Pbkdf2Parameters(salt=salt, iterations=_ITERATIONS, key_bytes=None, function=None)
    method = _Pbes2(
        oid=_PBES2,
        parameters=_Pbes2Parameters(
            derivation=_Pbkdf2(oid=_PBKDF2, parameters=parameters),
            encryption=_CbcCipher(oid=_AES256_CBC, iv=iv),
        ),
    )
    algorithm = asn1.decode_der(asn1.TLV, asn1.encode_der(method))
    encrypted = encryptor.update(padded) + encryptor.finalize()
    return asn1.encode_der(EncryptedPrivateKeyInfo(algorithm=algorithm, encrypted=encrypted))


def read_private_key(content: bytes, *, place: str) -> object:
    """Decode a private key in plain DER: PKCS#8, also as Notary writes it, SEC 1 or PKCS#1.

    The caller checks its algorithm and size. Raises: KeyFileMalformed, KeyNotAccepted.
    """
    unsupported: UnsupportedAlgorithm | None = None
    try:
        return load_der_private_key(content, None)
    except UnsupportedAlgorithm as error:
        unsupported = error
    except (ValueError, TypeError):
        pass  # perhaps a key of Notary, or one whose number has another length
    try:
        return _odd_ec_key(content)
    except (ValueError, TypeError, LookupError, UnsupportedAlgorithm):
        pass
    try:
        return _notary_key(asn1.decode_der(PrivateKeyInfo, content))
    except (ValueError, TypeError) as error:
        if unsupported is not None and not _says_notary_ed25519(content):
            raise KeyNotAccepted(key=place, reason="its algorithm is not supported") from unsupported
        raise KeyFileMalformed(place=place, reason="no private key in it") from error
    except UnsupportedAlgorithm as error:
        raise KeyNotAccepted(key=place, reason="its algorithm is not supported") from error


def read_notary_ed25519(content: bytes) -> Ed25519PrivateKey:
    """Decode an Ed25519 key as Notary writes it: public key, seed, and the public key again. Raises: ValueError."""
    if len(content) != NOTARY_ED25519_BYTES:
        raise ValueError("must be public key, seed and public key")
    public, seed, public_again = (content[at : at + 32] for at in (0, 32, 64))
    key = Ed25519PrivateKey.from_private_bytes(seed)
    if key.public_key().public_bytes_raw() != public or public != public_again:
        raise ValueError("the public key does not belong to the seed")
    return key


def notary_private_key_info(private: PrivateKey) -> bytes:
    """Encode a private key as Notary does.

    An EC key names its curve inside, too, and has its public key only there; Ed25519: see `read_notary_ed25519`.
    """
    as_usual = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    if isinstance(private, RSAPrivateKey):
        return as_usual
    if isinstance(private, EllipticCurvePrivateKey):
        algorithm = asn1.decode_der(PrivateKeyInfo, as_usual).algorithm
        content = private.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    else:
        algorithm = asn1.decode_der(asn1.TLV, asn1.encode_der(_BareAlgorithm(oid=_NOTARY_ED25519)))
        public = private.public_key().public_bytes_raw()
        content = public + private.private_bytes_raw() + public
    return asn1.encode_der(PrivateKeyInfo(version=1, algorithm=algorithm, private_key=content))


def _says_notary_ed25519(content: bytes) -> bool:
    """Return whether a key says that it is Ed25519 as Notary writes it, be it one or not."""
    try:
        return _algorithm(asn1.decode_der(PrivateKeyInfo, content).algorithm) == _NOTARY_ED25519
    except ValueError:
        return False


def _notary_key(info: PrivateKeyInfo) -> object:
    """Decode a private key that no library reads. Raises: ValueError, TypeError, UnsupportedAlgorithm."""
    oid = _algorithm(info.algorithm)
    if oid == _NOTARY_ED25519:
        return read_notary_ed25519(info.private_key)
    if oid == _EC:
        raise ValueError("an EC key that cannot be decoded")
    if oid != _RSA:
        raise UnsupportedAlgorithm(oid.dotted_string)
    key = load_der_private_key(info.private_key, None)  # PKCS#1
    if not isinstance(key, RSAPrivateKey):
        raise TypeError("is another key than it says")
    return key


def _odd_ec_key(content: bytes) -> EllipticCurvePrivateKey:
    """Decode an EC key that the library refuses: in PKCS#8 as Notary writes it, or with a number of odd length.

    PuTTY puts a zero before the number; old OpenSSL and old Go left out the zeros that it begins with. Go reads all of
    them. Raises: ValueError, TypeError, LookupError, UnsupportedAlgorithm.
    """
    curve: ObjectIdentifier | None = None
    try:
        info = asn1.decode_der(PrivateKeyInfo, content)
    except ValueError:
        pass  # SEC 1 alone
    else:
        algorithm = info.algorithm.parse(_EcAlgorithm)
        if algorithm.oid != _EC:
            raise ValueError("another kind of key")
        content, curve = info.private_key, algorithm.curve
    key = asn1.decode_der(_EcPrivateKey, content)
    curve = key.curve or curve
    if key.version != 1 or curve is None:
        raise ValueError("no SEC 1")
    private = derive_private_key(int.from_bytes(key.number), get_curve_for_oid(curve)())
    known = key.public
    public = EllipticCurvePublicKey.from_encoded_point(private.curve, known.as_bytes()) if known else None
    if public is not None and public != private.public_key():
        raise ValueError("the public key does not belong to the private one")
    return private


def _algorithm(encoded: asn1.TLV) -> ObjectIdentifier:
    """Return the object identifier of an algorithm, whatever its parameters are. Raises: ValueError."""
    for kind in (_EcAlgorithm, _RsaAlgorithm, _BareAlgorithm):
        try:
            algorithm: _EcAlgorithm | _RsaAlgorithm | _BareAlgorithm = encoded.parse(kind)
        except ValueError:
            continue
        return algorithm.oid
    raise ValueError("no algorithm in it")


def _decode(kind: type[_Sequence], content: bytes, *, place: str) -> _Sequence:
    try:
        return asn1.decode_der(kind, content)
    except ValueError as error:
        raise KeyFileMalformed(place=place, reason="its content is cut or altered") from error
