"""Signing as Notary v1's clients do: the method that fits the key, under the id that a document gives it."""

from __future__ import annotations

import base64
from typing import Final

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from securesystemslib.signer import Key, SecretsHandler, Signature, Signer

from keys.algorithms import PrivateKey, key_fingerprint, public_fingerprint
from keys.errors import SigningFailed
from keys.notary import METHOD, NotaryKey, bare_key

_SALT: Final = 32


class NotarySigner(Signer):
    """Signs with a private key. `key`: how the document writes its public part, bare or as a certificate."""

    def __init__(self, private: PrivateKey, key: NotaryKey | None = None) -> None:
        """Raises: KeyNotAccepted; ValueError if `key` is not the public part of `private`."""
        public = private.public_key()
        self._key = key or bare_key(public)
        if key_fingerprint(self._key) != public_fingerprint(public):
            raise ValueError(f"{self._key.keyid} is another key")
        self._private = private

    @property
    def public_key(self) -> NotaryKey:
        return self._key

    def sign(self, payload: bytes) -> Signature:
        """Sign the bytes; `method` stands in the signature's further members."""
        method, signature = _sign(self._private, payload)
        return Signature(self._key.keyid, base64.b64encode(signature).decode(), {METHOD: method})

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
    ) -> NotarySigner:
        """Not offered: the private key is opened elsewhere. Raises: SigningFailed."""
        del priv_key_uri, secrets_handler
        raise SigningFailed(key=public_key.keyid, reason="Notary v1 has no URIs of keys")


def _sign(private: PrivateKey, payload: bytes) -> tuple[str, bytes]:
    if isinstance(private, EllipticCurvePrivateKey):
        width = (private.curve.key_size + 7) // 8
        r, s = decode_dss_signature(private.sign(payload, ECDSA(SHA256())))
        return "ecdsa", r.to_bytes(width) + s.to_bytes(width)
    if isinstance(private, RSAPrivateKey):
        pss = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=_SALT)
        return "rsapss", private.sign(payload, pss, SHA256())
    return "eddsa", private.sign(payload)
