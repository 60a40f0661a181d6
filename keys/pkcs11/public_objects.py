"""Public keys of a token's objects: EC points, RSA numbers, certificates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

from keys.algorithms import PublicKey, is_public_key

P256: Final = bytes.fromhex("06082a8648ce3d030107")
P384: Final = bytes.fromhex("06052b81040022")
ED25519: Final = bytes.fromhex("06032b6570")
EDWARDS25519: Final = b"\x13\x0cedwards25519"
"""The name of the curve, as PKCS#11 3.0 has it."""
_CURVES: Final[Mapping[bytes, tuple[ec.EllipticCurve, int]]] = {P256: (ec.SECP256R1(), 65), P384: (ec.SECP384R1(), 97)}


def ec_public_key(parameters: bytes, point: bytes) -> PublicKey | None:
    """Return the key of CKA_EC_PARAMS and CKA_EC_POINT, None if its curve is unknown. Raises: ValueError.

    The point is in an OCTET STRING, as the standard says, or bare, as some tokens have it.
    """
    if parameters in {ED25519, EDWARDS25519}:
        return Ed25519PublicKey.from_public_bytes(_bare(point, 32))
    if parameters not in _CURVES:
        return None
    curve, length = _CURVES[parameters]
    return ec.EllipticCurvePublicKey.from_encoded_point(curve, _bare(point, length))


def rsa_public_key(modulus: bytes, exponent: bytes) -> PublicKey:
    """Return the key of CKA_MODULUS and CKA_PUBLIC_EXPONENT. Raises: ValueError."""
    return RSAPublicNumbers(int.from_bytes(exponent), int.from_bytes(modulus)).public_key()


def certified_public_key(der: bytes) -> PublicKey | None:
    """Return the key of a certificate, None if it is of a kind that is not used here. Raises: ValueError."""
    key = x509.load_der_x509_certificate(der).public_key()
    return key if is_public_key(key) else None


def _bare(point: bytes, length: int) -> bytes:
    if len(point) == length + 2 and point[:2] == bytes((0x04, length)):
        return point[2:]
    return point
