"""Which keys we make and which we accept, and why.

| algorithm | made | accepted | reason |
|---|---|---|---|
| ECDSA P-256 | default | yes | the one that every TUF client, cloud KMS, HSM and Notary v1 reads |
| ECDSA P-384 | yes | yes | for those whose rules ask for it |
| Ed25519 | yes | yes | fast and deterministic; not in every HSM |
| RSA | 3072 bits | 2048 to 8192 bits, PSS with SHA-256 | TUF asks for 2048; beyond 8192 it only costs |

Everything else is refused: go-tuf refuses a whole role for one key of a type that it does not know.
An algorithm is one member of `Algorithm` and one row of `_KINDS`; nothing else names the algorithms one by one, but for
the fixed encodings of Notary v1.
"""

from __future__ import annotations

import hashlib
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, TypeAlias, TypeGuard, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    EllipticCurve,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from securesystemslib.signer import Key

from keys.errors import KeyNotAccepted

PrivateKey: TypeAlias = EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey
PublicKey: TypeAlias = EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey

_NOT_KNOWN: Final = "neither ECDSA, Ed25519 nor RSA"
_PUBLIC_EXPONENT: Final = 65537
RSA_GENERATED_BITS: Final = 3072
RSA_LEAST_BITS: Final = 2048
RSA_MOST_BITS: Final = 8192
_MAX_PEM: Final = 4096  # characters; an RSA key of 8192 bits has about 1500
_ED25519_HEX: Final = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


class EncodedKey(Key):
    """A public key in another encoding than TUF's."""

    @abstractmethod
    def read(self) -> PublicKey:
        """The key itself; its real kind, curve and size are accepted. Raises: KeyNotAccepted."""

    @property
    @abstractmethod
    def canonical_keyid(self) -> str:
        """The id by which people know the key: another than `keyid` for a certificate. Raises: KeyNotAccepted."""


class Algorithm(StrEnum):
    """What a key is made of; the names that people type."""

    ECDSA_P256 = "ecdsa-p256"
    ECDSA_P384 = "ecdsa-p384"
    ED25519 = "ed25519"
    RSA = "rsa"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """`names`: key type and scheme in TUF documents. `read`: its public part there, as cryptography's key."""

    generate: Callable[[], PrivateKey]
    fits: Callable[[PublicKey], bool]
    names: tuple[tuple[str, str], ...]
    read: Callable[[str], object]


def _read_pem(public: str) -> object:
    if len(public) > _MAX_PEM:
        raise KeyNotAccepted(key="", reason=f"its public part is longer than {_MAX_PEM} characters")
    return load_pem_public_key(public.encode())


def _read_ed25519(public: str) -> object:
    if not _ED25519_HEX.fullmatch(public):  # bytes.fromhex would let white space through
        raise KeyNotAccepted(key="", reason="an Ed25519 key is 64 hexadecimal digits")
    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))


def _ecdsa(curve: type[EllipticCurve], scheme: str) -> _Kind:
    return _Kind(
        generate=lambda: generate_ec_key(curve()),
        fits=lambda key: isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, curve),
        # The second name is spec-deprecated: a key type named after its scheme; python-tuf still verifies it.
        names=(("ecdsa", scheme), (scheme, scheme)),
        read=_read_pem,
    )


_KINDS: Final[Mapping[Algorithm, _Kind]] = {
    Algorithm.ECDSA_P256: _ecdsa(SECP256R1, "ecdsa-sha2-nistp256"),
    Algorithm.ECDSA_P384: _ecdsa(SECP384R1, "ecdsa-sha2-nistp384"),
    Algorithm.ED25519: _Kind(
        generate=Ed25519PrivateKey.generate,
        fits=lambda key: isinstance(key, Ed25519PublicKey),
        names=(("ed25519", "ed25519"),),
        read=_read_ed25519,
    ),
    Algorithm.RSA: _Kind(
        generate=lambda: rsa.generate_private_key(public_exponent=_PUBLIC_EXPONENT, key_size=RSA_GENERATED_BITS),
        fits=lambda key: isinstance(key, RSAPublicKey) and RSA_LEAST_BITS <= key.key_size <= RSA_MOST_BITS,
        names=(("rsa", "rsassa-pss-sha256"),),
        read=_read_pem,
    ),
}
_BY_TYPE_AND_SCHEME: Final = {names: algorithm for algorithm, kind in _KINDS.items() for names in kind.names}


def generate(algorithm: Algorithm = Algorithm.ECDSA_P256) -> PrivateKey:
    """Make a new private key from the operating system's randomness. RSA takes about a second."""
    return _KINDS[algorithm].generate()


def is_private_key(key: object) -> TypeGuard[PrivateKey]:
    """Return whether this is a private key of a family that is accepted; `algorithm_of` looks at curve and size."""
    return isinstance(key, EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey)


def is_public_key(key: object) -> TypeGuard[PublicKey]:
    """Return whether this is a public key of a family that is accepted; `algorithm_of` looks at curve and size."""
    return isinstance(key, EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey)


def algorithm_of(key: object, *, named: str) -> Algorithm:
    """Return the algorithm of one of cryptography's keys, private or public, by its real curve and size.

    `named` is what an error calls the key. Raises: KeyNotAccepted.
    """
    public = key.public_key() if is_private_key(key) else key
    if not is_public_key(public):
        raise KeyNotAccepted(key=named, reason=_NOT_KNOWN)
    for algorithm, kind in _KINDS.items():
        if kind.fits(public):
            return algorithm
    if isinstance(public, RSAPublicKey):
        reason = f"RSA with {public.key_size} bits; {RSA_LEAST_BITS} to {RSA_MOST_BITS} are accepted"
    else:
        reason = f"curve {cast('EllipticCurvePublicKey', public).curve.name} is neither P-256 nor P-384"
    raise KeyNotAccepted(key=named, reason=reason)


def check_accepted(key: Key) -> None:
    """Refuse a public key of a TUF document whose type, scheme, curve or size is not accepted.

    Looks at the key itself, not only at its labels. Does not check the key id.
    Results are remembered: cheap when repeated.
    Raises: KeyNotAccepted.
    """
    _accepted(key)


def algorithm_of_tuf_key(key: Key) -> Algorithm:
    """The algorithm of an accepted public key of a TUF document. Raises: KeyNotAccepted."""
    check_accepted(key)
    return _BY_TYPE_AND_SCHEME[key.keytype, key.scheme]


def key_fingerprint(key: Key) -> str:
    """Equal for two accepted keys exactly if they are one key, however written (SHA-256 of the DER of the public key).

    Two key ids that share a mark are one key: a threshold of two is not met by them. Raises: KeyNotAccepted.
    """
    return _accepted(key)


def public_key_of(key: Key) -> PublicKey:
    """An accepted public key of a document, in whatever encoding, as cryptography's. Raises: KeyNotAccepted."""
    return key.read() if isinstance(key, EncodedKey) else _tuf_key(key)[0]


def public_fingerprint(key: PublicKey) -> str:
    """The mark (see `key_fingerprint`) of a key that stands in no document."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _accepted(key: Key) -> str:
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
    promised = _BY_TYPE_AND_SCHEME.get((keytype, scheme))
    if promised is None:
        raise KeyNotAccepted(key="", reason=f"key type {_cut(keytype)} with scheme {_cut(scheme)} is not supported")
    loaded = _load(promised, public)
    real = algorithm_of(loaded, named="")
    if real is not promised:
        raise KeyNotAccepted(key="", reason=f"it says {promised} but is {real}")
    return loaded, public_fingerprint(loaded)


def _load(promised: Algorithm, public: str) -> PublicKey:
    try:
        loaded = _KINDS[promised].read(public)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyNotAccepted(key="", reason="its public part is no key that can be read") from error
    if not is_public_key(loaded):
        raise KeyNotAccepted(key="", reason=_NOT_KNOWN)
    return loaded


def _cut(foreign: str) -> str:
    return ascii(foreign[:40])
