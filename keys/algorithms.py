"""The key algorithms that we generate and accept, and the reasons; and which kinds of others are read (`KEY_KINDS`).

| algorithm | generated | accepted | reason |
|---|---|---|---|
| ECDSA P-256 | default | yes | every TUF client, cloud KMS, HSM and Notary v1 can read it |
| ECDSA P-384 | yes | yes | some security rules require it |
| Ed25519 | yes | yes | fast and deterministic; not in every HSM |
| RSA | 3072 bits | 2048 to 8192 bits, PSS with SHA-256 | TUF requires 2048; more than 8192 only costs time |

Every other algorithm is refused, because go-tuf refuses a whole role that names one key of an unknown type.
To add an algorithm, add a member to `Algorithm` and a row to `_KINDS`. No other code lists the algorithms, except the
fixed encodings of Notary v1.

`docker` and `notary` take more kinds than these. In collections of Notary v1 they are shown, and they are no error by
themselves; P-521 counts there, the weak ones count for nothing (docs/adr/0061).
"""

from __future__ import annotations

import hashlib
import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, TypeAlias, TypeGuard, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP224R1,
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from securesystemslib.signer import Key

from keys.errors import KeyNotAccepted, KeyNotCounted
from keys.record import record

PrivateKey: TypeAlias = EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey
PublicKey: TypeAlias = EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey

_UNKNOWN: Final = "neither ECDSA, Ed25519 nor RSA"
_PUBLIC_EXPONENT: Final = 65537
RSA_GENERATED_BITS: Final = 3072
RSA_MIN_BITS: Final = 2048
RSA_MAX_BITS: Final = 8192
"""The largest RSA key that is accepted: one check of its signature takes less than half a millisecond."""
RSA_MAX_EXPONENT: Final = 2**31 - 1
"""The largest public exponent, as in Go. Nearly all keys have 65537; with one as long as the key, checking a signature
takes eighty times as long."""
DERIVED_BYTES: Final = 48
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_MAX_PEM: Final = 4096  # characters; an RSA key of 8192 bits has about 1500
_ED25519_HEX: Final = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


class EncodedKey(Key):
    """A public key whose encoding differs from TUF's."""

    @abstractmethod
    def read(self) -> PublicKey:
        """Return the decoded key, after a check of its type, curve and size. Raises: KeyNotAccepted."""

    @property
    @abstractmethod
    def canonical_keyid(self) -> str:
        """The id of the key without its certificate; equal to `keyid` for a bare key. Raises: KeyNotAccepted."""


class Algorithm(StrEnum):
    """The algorithm of a key; the values are the names that users type."""

    ECDSA_P256 = "ecdsa-p256"
    ECDSA_P384 = "ecdsa-p384"
    ED25519 = "ed25519"
    RSA = "rsa"


@record
class _Kind:
    """How to generate, recognise and read keys of one algorithm.

    `fits`: whether a public key has this algorithm and an accepted size. `types_and_schemes`: the pairs of key type and
    scheme that name the algorithm in TUF documents. `read`: decode the public part of a TUF key object.
    """

    generate: Callable[[], PrivateKey]
    fits: Callable[[PublicKey], bool]
    types_and_schemes: tuple[tuple[str, str], ...]
    read: Callable[[str], object]


def nameless_refusal(reason: str) -> KeyNotAccepted:
    """Return the refusal of a public part, kept for all keys that have this part: the caller names the key."""
    return KeyNotAccepted(key="", reason=reason)


def _read_pem(public: str) -> object:
    if len(public) > _MAX_PEM:
        raise nameless_refusal(f"its public part is longer than {_MAX_PEM} characters")
    return load_pem_public_key(public.encode())


def _read_ed25519(public: str) -> object:
    if not _ED25519_HEX.fullmatch(public):  # bytes.fromhex would let white space through
        raise nameless_refusal("an Ed25519 key is 64 hexadecimal digits")
    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))


def _ecdsa(curve: type[EllipticCurve], scheme: str) -> _Kind:
    return _Kind(
        generate=lambda: generate_ec_key(curve()),
        fits=lambda key: isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, curve),
        # The specification deprecates the second pair, whose key type is its scheme; python-tuf still verifies it.
        types_and_schemes=(("ecdsa", scheme), (scheme, scheme)),
        read=_read_pem,
    )


_KINDS: Final[Mapping[Algorithm, _Kind]] = {
    Algorithm.ECDSA_P256: _ecdsa(SECP256R1, "ecdsa-sha2-nistp256"),
    Algorithm.ECDSA_P384: _ecdsa(SECP384R1, "ecdsa-sha2-nistp384"),
    Algorithm.ED25519: _Kind(
        generate=Ed25519PrivateKey.generate,
        fits=lambda key: isinstance(key, Ed25519PublicKey),
        types_and_schemes=(("ed25519", "ed25519"),),
        read=_read_ed25519,
    ),
    Algorithm.RSA: _Kind(
        generate=lambda: rsa.generate_private_key(public_exponent=_PUBLIC_EXPONENT, key_size=RSA_GENERATED_BITS),
        fits=lambda key: (
            isinstance(key, RSAPublicKey)
            and RSA_MIN_BITS <= key.key_size <= RSA_MAX_BITS
            and key.public_numbers().e <= RSA_MAX_EXPONENT
        ),
        types_and_schemes=(("rsa", "rsassa-pss-sha256"),),
        read=_read_pem,
    ),
}


@record
class KeyKind:
    """A kind of public keys that is known. `made`: the algorithm with which our programs make such keys, if they do.

    `in_tuf`, `in_notary`: whether signatures of such a key count in a collection of that format.
    """

    name: str
    made: Algorithm | None
    in_tuf: bool
    in_notary: bool
    fits: Callable[[PublicKey], bool]


def _own_kind(algorithm: Algorithm, name: str) -> KeyKind:
    return KeyKind(name=name, made=algorithm, in_tuf=True, in_notary=True, fits=_KINDS[algorithm].fits)


KEY_KINDS: Final = (
    _own_kind(Algorithm.ECDSA_P256, "ECDSA P-256"),
    _own_kind(Algorithm.ECDSA_P384, "ECDSA P-384"),
    _own_kind(Algorithm.ED25519, "Ed25519"),
    _own_kind(Algorithm.RSA, f"RSA, {RSA_MIN_BITS} to {RSA_MAX_BITS} bits"),
    KeyKind(
        name="ECDSA P-521",
        made=None,
        in_tuf=False,
        in_notary=True,
        fits=lambda key: isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP521R1),
    ),
    KeyKind(
        name="ECDSA P-224",
        made=None,
        in_tuf=False,
        in_notary=False,
        fits=lambda key: isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP224R1),
    ),
    KeyKind(
        name="RSA of another size",
        made=None,
        in_tuf=False,
        in_notary=False,
        fits=lambda key: isinstance(key, RSAPublicKey) and not RSA_MIN_BITS <= key.key_size <= RSA_MAX_BITS,
    ),
)
"""Every kind of public keys that `docker` and `notary` take. docs/reference/keys.md has the same table."""
_BY_TYPE_AND_SCHEME: Final = {pair: algorithm for algorithm, kind in _KINDS.items() for pair in kind.types_and_schemes}


def generate(algorithm: Algorithm = Algorithm.ECDSA_P256) -> PrivateKey:
    """Generate a private key with the random numbers of the operating system. RSA takes about a second."""
    return _KINDS[algorithm].generate()


def derive_p256(secret: bytes) -> PrivateKey:
    """Return the ECDSA P-256 key that belongs to a secret of DERIVED_BYTES bytes: always the same one.

    The secret must be uniform, as the output of a key derivation function is. It has 128 bits more than the order of
    the curve, so that the remainder is as good as uniform (FIPS 186-5, A.2.1). Raises: ValueError if it is too short.
    """
    if len(secret) < DERIVED_BYTES:
        raise ValueError(f"a secret of {DERIVED_BYTES} bytes is needed")
    return derive_private_key(int.from_bytes(secret) % (_P256_ORDER - 1) + 1, SECP256R1())


def is_private_key(key: object) -> TypeGuard[PrivateKey]:
    """Return whether this is an ECDSA, Ed25519 or RSA private key; `algorithm_of` checks its curve and size."""
    return _is_private(cast("Any", type(key)))


def is_public_key(key: object) -> TypeGuard[PublicKey]:
    """Return whether this is an ECDSA, Ed25519 or RSA public key; `algorithm_of` checks its curve and size."""
    return _is_public(cast("Any", type(key)))


# They are abstract classes, whose `isinstance` costs as much as a hash of the key; the types are few.
@lru_cache(maxsize=64)
def _is_private(kind: type) -> bool:
    return issubclass(kind, EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey)


@lru_cache(maxsize=64)
def _is_public(kind: type) -> bool:
    return issubclass(kind, EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey)


def algorithm_of(key: object, *, named: str) -> Algorithm:
    """Return the algorithm of a private or public key of the `cryptography` library, from its curve and size.

    `named`: the name of the key in error messages. Raises: KeyNotAccepted; of a kind that only Notary v1 knows its
    subclass KeyNotCounted.
    """
    public = key.public_key() if is_private_key(key) else key
    if not is_public_key(public):
        raise KeyNotAccepted(key=named, reason=_UNKNOWN)
    for algorithm, kind in _KINDS.items():
        if kind.fits(public):
            return algorithm
    if isinstance(public, RSAPublicKey) and public.public_numbers().e > RSA_MAX_EXPONENT:
        reason = f"RSA with a public exponent of more than {RSA_MAX_EXPONENT}"
    elif isinstance(public, RSAPublicKey):
        reason = f"RSA with {public.key_size} bits; {RSA_MIN_BITS} to {RSA_MAX_BITS} are accepted"
    else:
        curve = cast("EllipticCurvePublicKey", public).curve
        weak = isinstance(curve, SECP224R1)
        reason = f"curve {curve.name} is {'too weak' if weak else 'neither P-256 nor P-384'}"
    if any(kind.fits(public) for kind in KEY_KINDS):
        raise KeyNotCounted(key=named, reason=reason)
    raise KeyNotAccepted(key=named, reason=reason)


def check_counts_in_notary(key: object, *, named: str) -> None:
    """Refuse a public key whose signatures do not count in Notary v1. `named`: as for `algorithm_of`.

    Raises: KeyNotCounted for a kind that is known; KeyNotAccepted for any other.
    """
    if not (is_public_key(key) and any(kind.in_notary and kind.fits(key) for kind in KEY_KINDS)):
        algorithm_of(key, named=named)


def check_accepted(key: Key) -> None:
    """Refuse a public key of a TUF document whose type, scheme, curve or size is not accepted.

    The key is decoded, so a false type or scheme is refused too. The key id is not checked here. The result is cached.
    Raises: KeyNotAccepted.
    """
    _accepted_fingerprint(key)


def algorithm_of_tuf_key(key: Key) -> Algorithm:
    """Return the algorithm of a public key of a TUF document. Raises: KeyNotAccepted."""
    check_accepted(key)
    return _BY_TYPE_AND_SCHEME[key.keytype, key.scheme]


def key_fingerprint(key: Key) -> str:
    """Return the SHA-256 (hex) of the public key in DER, which is the same in every encoding of one key.

    Two key ids with the same fingerprint are one key and cannot meet a threshold of two. Raises: KeyNotAccepted.
    """
    return _accepted_fingerprint(key)


def accepted_fingerprints(keys: Iterable[Key]) -> set[str]:
    """Return the fingerprints of those keys that are accepted: a document may name keys of kinds that we do not use."""
    found: set[str] = set()
    for key in keys:
        with suppress(KeyNotAccepted):
            found.add(key_fingerprint(key))
    return found


def matching_keyids(keys: Mapping[str, Key], fingerprints: Iterable[str]) -> frozenset[str]:
    """Return the ids of the keys whose fingerprint is one of `fingerprints`."""
    searched = set(fingerprints)
    return frozenset(keyid for keyid, key in keys.items() if accepted_fingerprints([key]) & searched)


def bare_keyid(key: Key) -> str:
    """Return the id to show for a key: that of the bare key, also if a document has a certificate of it (Notary v1)."""
    try:
        return key.canonical_keyid if isinstance(key, EncodedKey) else key.keyid
    except KeyNotAccepted:
        return key.keyid


def public_key_of(key: Key) -> PublicKey:
    """Decode a public key of a document of either format. Raises: KeyNotAccepted."""
    return key.read() if isinstance(key, EncodedKey) else _tuf_key(key)[0]


def public_fingerprint(key: PublicKey) -> str:
    """Return the SHA-256 (hex) of a public key in DER (`SubjectPublicKeyInfo`)."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _accepted_fingerprint(key: Key) -> str:
    return public_fingerprint(key.read()) if isinstance(key, EncodedKey) else _tuf_key(key)[1]


def _tuf_key(key: Key) -> tuple[PublicKey, str]:
    public = key.keyval.get("public")
    if not isinstance(public, str):
        raise KeyNotAccepted(key=key.keyid, reason="it has no public part")
    try:
        return _examine(key.keytype, key.scheme, public)
    except KeyNotAccepted as error:
        raise KeyNotAccepted(key=key.keyid, reason=error.reason) from error


@lru_cache(maxsize=4096)
def _examine(keytype: str, scheme: str, public: str) -> tuple[PublicKey, str]:
    declared = _BY_TYPE_AND_SCHEME.get((keytype, scheme))
    if declared is None:
        raise nameless_refusal(f"key type {_shortened(keytype)} with scheme {_shortened(scheme)} is not supported")
    loaded = _load(declared, public)
    actual = algorithm_of(loaded, named="")
    if actual is not declared:
        raise nameless_refusal(f"it says {declared} but is {actual}")
    return loaded, public_fingerprint(loaded)


def _load(declared: Algorithm, public: str) -> PublicKey:
    try:
        loaded = _KINDS[declared].read(public)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise nameless_refusal("its public part is no key that can be read") from error
    if not is_public_key(loaded):
        raise nameless_refusal(_UNKNOWN)
    return loaded


def _shortened(foreign: str) -> str:
    return ascii(foreign[:40])
