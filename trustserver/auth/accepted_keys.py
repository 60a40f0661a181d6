"""Which public keys may sign tokens: their types, curves and sizes. Checked before a key verifies anything."""

from __future__ import annotations

from typing import Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

LEAST_RSA: Final = 2048
"""The smallest RSA key that is accepted, in bits (RFC 7518, 3.3)."""
LARGEST_RSA: Final = 8192
"""The largest RSA key that is accepted, in bits: one check of its signature takes less than half a millisecond."""
LARGEST_EXPONENT: Final = 2**31 - 1
"""The largest public exponent of an RSA key, as in Go: what a check costs grows with it. Nearly all keys have 65537."""

_CURVES: Final = frozenset({"secp256r1", "secp384r1", "secp521r1"})
PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


def usable(public: object) -> PublicKey:
    """Return the key if it may sign tokens. Raises: ValueError if its type, curve or size is not accepted."""
    if not isinstance(public, PublicKey):
        raise ValueError("it is neither RSA nor ECDSA nor Ed25519")  # noqa: TRY004 - bad input, not a bad call
    if isinstance(public, rsa.RSAPublicKey):
        if public.key_size < LEAST_RSA:
            raise ValueError(f"RSA keys have at least {LEAST_RSA} bits")
        if public.key_size > LARGEST_RSA:
            raise ValueError(f"RSA keys have at most {LARGEST_RSA} bits")
        if public.public_numbers().e > LARGEST_EXPONENT:
            raise ValueError(f"the public exponent of an RSA key is at most {LARGEST_EXPONENT}")
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name not in _CURVES:
        raise ValueError(f"the curve {public.curve.name} is not used for tokens")
    return public
