"""Sign as the clients of Notary v1 do: with the method of the key's algorithm, under the key id of the document."""

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

_SALT_BYTES: Final = 32


class NotarySigner(Signer):
    """A signer that makes signatures of Notary v1 with a private key."""

    def __init__(self, private: PrivateKey, key: NotaryKey | None = None) -> None:
        """Set the key id of the signatures to that of `key`: the public part as a document has it, bare or certified.

        Without `key` it is the id of the bare key.

        Raises: KeyNotAccepted; ValueError if `key` is not the public part of `private`.
        """
        public = private.public_key()
        self._key = key or bare_key(public)
        if key_fingerprint(self._key) != public_fingerprint(public):
            raise ValueError(f"{self._key.keyid} is another key")
        self._private = private

    @property
    def public_key(self) -> NotaryKey:
        return self._key

    def sign(self, payload: bytes) -> Signature:
        """Sign the bytes. The member `method` of the signature names the method."""
        method, signature = _sign(self._private, payload)
        return Signature(self._key.keyid, base64.b64encode(signature).decode(), {METHOD: method})

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
    ) -> NotarySigner:
        """Refuse to open a key by URI: Notary v1 has no key URIs. Raises: SigningFailed."""
        del priv_key_uri, secrets_handler
        raise SigningFailed(key=public_key.keyid, reason="Notary v1 has no URIs of keys")


def _sign(private: PrivateKey, payload: bytes) -> tuple[str, bytes]:
    if isinstance(private, EllipticCurvePrivateKey):
        width = (private.curve.key_size + 7) // 8
        r, s = decode_dss_signature(private.sign(payload, ECDSA(SHA256())))
        return "ecdsa", r.to_bytes(width) + s.to_bytes(width)
    if isinstance(private, RSAPrivateKey):
        pss = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=_SALT_BYTES)
        return "rsapss", private.sign(payload, pss, SHA256())
    return "eddsa", private.sign(payload)
