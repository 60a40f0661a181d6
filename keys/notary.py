"""Public keys in the encoding of Notary v1: their key ids, and how they verify signatures.

| keytype | `public` is base64 of | signature methods |
|---|---|---|
| ecdsa, ecdsa-x509 | PKIX DER; a certificate's PEM text | ecdsa: r and s in the curve's width; always SHA-256 |
| rsa, rsa-x509 | the same | rsapss: SHA-256, salt of 32 bytes; rsapkcs1v15: SHA-256 |
| ed25519 | the 32 bytes | eddsa |

The key id is the SHA-256 of the canonical JSON of the key with `"private": null`. The name, validity and usage of a
certificate are not checked here but in `keys.certificate`. The format: docs/reference/notary-format.md.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from typing import Any, Final, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Key, Signature

from keys.algorithms import (
    EncodedKey,
    PublicKey,
    check_counts_in_notary,
    is_public_key,
    nameless_refusal,
    public_key_of,
)
from keys.errors import KeyNotAccepted
from keys.go_certificate import load_pem_certificate

SCHEME: Final = "notary-v1"
"""The scheme of every `NotaryKey`. Documents of Notary v1 have no scheme; each signature names its method."""
METHOD: Final = "method"
X509: Final = "-x509"
KEYTYPES: Final = ("ecdsa", "rsa", "ed25519", "ecdsa-x509", "rsa-x509")
_MAX_PUBLIC: Final = 32_768
"""The maximum length of `public`, in characters. A certificate with an RSA key of 8192 bits has about 4000."""
_SALT_BYTES: Final = 32


class NotaryKey(EncodedKey):
    """A public key in a Notary v1 document."""

    @classmethod
    def of(cls, keytype: str, public: str) -> Self:
        """Make a key from the members of a document and compute its id. `read` decodes it later."""
        return cls(notary_keyid(keytype, public), keytype, SCHEME, {"private": None, "public": public})

    @classmethod
    def from_dict(cls, keyid: str, key_dict: dict[str, Any]) -> Self:
        """Make a key from the members of a parsed document. Raises: KeyError."""
        return cls(keyid, key_dict["keytype"], SCHEME, key_dict["keyval"])

    def to_dict(self) -> dict[str, Any]:
        """Return the members as a document has them."""
        return {"keytype": self.keytype, "keyval": {"private": None, "public": self.keyval["public"]}}

    def read(self) -> PublicKey:
        """Return the decoded key. Raises: KeyNotAccepted."""
        try:
            return _read(self.keytype, self.keyval["public"])
        except KeyNotAccepted as error:
            raise type(error)(key=self.keyid, reason=error.reason) from error

    @property
    def canonical_keyid(self) -> str:
        """The id of the key without its certificate; equal to `keyid` for a bare key. Raises: KeyNotAccepted."""
        if not self.keytype.endswith(X509):
            return self.keyid
        return bare_key(self.decoded()).keyid

    def decoded(self) -> PublicKey:
        """Return the key even if it is too weak to count: to show it, not to verify with it. Raises: KeyNotAccepted."""
        try:
            return _decoded(self.keytype, self.keyval["public"])
        except KeyNotAccepted as error:
            raise KeyNotAccepted(key=self.keyid, reason=error.reason) from error

    def verify_signature(self, signature: Signature, data: bytes) -> None:
        """Check that this key made the signature over `data`. Raises: UnverifiedSignatureError."""
        method = str(signature.unrecognized_fields.get(METHOD)).lower()
        try:
            _verify(self.read(), method, base64.b64decode(signature.signature, validate=True), data)
        except (InvalidSignature, KeyNotAccepted, ValueError, UnsupportedAlgorithm) as error:
            raise UnverifiedSignatureError(f"signature by {self.keyid} does not verify") from error


def notary_key(key: Key) -> NotaryKey:
    """Return a public key of a document in the encoding of Notary v1, without a certificate. Raises: KeyNotAccepted."""
    return bare_key(public_key_of(key))


def bare_key(key: PublicKey) -> NotaryKey:
    """Encode a public key for Notary v1, without a certificate. Raises: KeyNotAccepted."""
    if isinstance(key, Ed25519PublicKey):
        return NotaryKey.of("ed25519", base64.b64encode(key.public_bytes_raw()).decode())
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return NotaryKey.of(_keytype(key), base64.b64encode(der).decode())


def notary_keyid(keytype: str, public: str) -> str:
    """Return the key id of Notary v1, in hex. `public` is base64, so nothing in it needs escaping."""
    canonical = f'{{"keytype":"{keytype}","keyval":{{"private":null,"public":"{public}"}}}}'
    return hashlib.sha256(canonical.encode()).hexdigest()


@lru_cache(maxsize=4096)
def _read(keytype: str, public: str) -> PublicKey:
    key = _decoded(keytype, public)
    check_counts_in_notary(key, named="")
    return key


@lru_cache(maxsize=4096)
def _decoded(keytype: str, public: str) -> PublicKey:
    if keytype not in KEYTYPES:
        raise nameless_refusal(f"key type {keytype[:40]!a} is not supported")
    if len(public) > _MAX_PUBLIC:
        raise nameless_refusal(f"its public part is longer than {_MAX_PUBLIC} characters")
    try:
        loaded = _load(keytype, base64.b64decode(public, validate=True))
    except (ValueError, UnsupportedAlgorithm) as error:  # binascii.Error is a ValueError
        raise nameless_refusal("its public part is no key that can be read") from error
    if not is_public_key(loaded):
        raise nameless_refusal("neither ECDSA, Ed25519 nor RSA")
    actual = _keytype(loaded)
    if actual != keytype.removesuffix(X509):
        raise nameless_refusal(f"it says {keytype} but is {actual}")
    return loaded


def _keytype(key: PublicKey) -> str:
    """Return the key type of a bare key."""
    if isinstance(key, Ed25519PublicKey):
        return "ed25519"
    return "rsa" if isinstance(key, RSAPublicKey) else "ecdsa"


def _load(keytype: str, encoded: bytes) -> object:
    if keytype.endswith(X509):
        return load_pem_certificate(encoded).public_key()
    return Ed25519PublicKey.from_public_bytes(encoded) if keytype == "ed25519" else load_der_public_key(encoded)


def _verify(key: PublicKey, method: str, signature: bytes, data: bytes) -> None:
    """Check one signature with the method that it names. Raises: InvalidSignature, ValueError."""
    match key, method:
        case EllipticCurvePublicKey(), "ecdsa":
            width = (key.curve.key_size + 7) // 8
            if len(signature) != 2 * width:
                raise InvalidSignature
            r, s = int.from_bytes(signature[:width]), int.from_bytes(signature[width:])
            key.verify(encode_dss_signature(r, s), data, ECDSA(SHA256()))
        case RSAPublicKey(), "rsapss":
            key.verify(signature, data, padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=_SALT_BYTES), SHA256())
        case RSAPublicKey(), "rsapkcs1v15":
            key.verify(signature, data, padding.PKCS1v15(), SHA256())
        case Ed25519PublicKey(), "eddsa":
            key.verify(signature, data)
        case _:
            raise InvalidSignature
