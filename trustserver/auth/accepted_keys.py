"""Which signature algorithms and which public keys tokens may have: types, curves and sizes.

The limits of RSA are those of keys that sign trust data (`keys.algorithms`). A key is checked before it verifies
anything.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from keys.algorithms import RSA_MAX_BITS, RSA_MAX_EXPONENT, RSA_MIN_BITS

ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)
"""The signature algorithms that are accepted. All use a key pair: `none` signs nothing, and with HMAC an attacker could
use the public key as the secret (RFC 8725, 2.1)."""
_CURVES: Final = frozenset({"secp256r1", "secp384r1", "secp521r1"})
PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


def usable(public: object) -> PublicKey:
    """Return the key if it may sign tokens. Raises: ValueError if its type, curve or size is not accepted."""
    if not isinstance(public, PublicKey):
        raise ValueError("it is neither RSA nor ECDSA nor Ed25519")  # noqa: TRY004 - bad input, not a bad call
    if isinstance(public, rsa.RSAPublicKey):
        if public.key_size < RSA_MIN_BITS:
            raise ValueError(f"RSA keys have at least {RSA_MIN_BITS} bits")
        if public.key_size > RSA_MAX_BITS:
            raise ValueError(f"RSA keys have at most {RSA_MAX_BITS} bits")
        if public.public_numbers().e > RSA_MAX_EXPONENT:
            raise ValueError(f"the public exponent of an RSA key is at most {RSA_MAX_EXPONENT}")
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name not in _CURVES:
        raise ValueError(f"the curve {public.curve.name} is not used for tokens")
    return public
