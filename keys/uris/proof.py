"""Prove that a private key is there and is the right one: by a signature over a text that is good for nothing else."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from keys.algorithms import PrivateKey, PublicKey, public_fingerprint

PROOF: Final = b"content-trust/key-test/v1\0"
"""How the signed text begins; the fingerprint of the key follows. It is not JSON, and so never that of metadata."""
_SALT_BYTES: Final = 32


def proven(private: PrivateKey, public: PublicKey) -> bool:
    """Return whether a signature of the private key verifies with the public one. Raises: KeysError of its holder."""
    text = PROOF + public_fingerprint(public).encode()
    pss = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=_SALT_BYTES)
    try:
        if isinstance(private, EllipticCurvePrivateKey) and isinstance(public, EllipticCurvePublicKey):
            public.verify(private.sign(text, ECDSA(SHA256())), text, ECDSA(SHA256()))
        elif isinstance(private, RSAPrivateKey) and isinstance(public, RSAPublicKey):
            public.verify(private.sign(text, pss, SHA256()), text, pss, SHA256())
        elif isinstance(public, Ed25519PublicKey) and not isinstance(private, EllipticCurvePrivateKey | RSAPrivateKey):
            public.verify(private.sign(text), text)
        else:
            return False
    except InvalidSignature:
        return False
    return True
