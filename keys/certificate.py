"""The X.509 certificates that carry the root keys of Notary v1: self-signed, the common name is the collection's name.

The Go clients check the name and the time of validity. They trust no certificate authority unless one is configured.
The rules: docs/reference/notary-format.md.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, SignatureAlgorithmOID
from securesystemslib.signer import Key

from keys.algorithms import PrivateKey, PublicKey
from keys.errors import KeyNotAccepted
from keys.go_certificate import certificate_der, load_pem_certificate, long_names_allowed, name_of
from keys.notary import X509, NotaryKey

LIFETIME: Final = timedelta(days=3650)
"""The time of validity of a certificate. A test holds it equal to the lifetime of a Notary v1 root."""
LEEWAY: Final = timedelta(days=1)
"""How far the clock that made a certificate may be ahead of the one that judges it. The Go clients allow the same."""
_WILDCARD: Final = "*"
_SHA1: Final = frozenset(
    {
        SignatureAlgorithmOID.RSA_WITH_SHA1,
        SignatureAlgorithmOID._RSA_WITH_SHA1,  # noqa: SLF001 - its second name, which Go knows, too
        SignatureAlgorithmOID.ECDSA_WITH_SHA1,
        SignatureAlgorithmOID.DSA_WITH_SHA1,
    }
)
"""What Go calls SHA1WithRSA, ECDSAWithSHA1 and DSAWithSHA1."""


def root_certificate(private: PrivateKey, *, gun: str, at: datetime, public: PublicKey | None = None) -> NotaryKey:
    """Make the certificate of a root key for the collection `gun`, valid for ten years from `at`.

    `public`: the certified key, if it is not the public key of `private`. Then `private` only signs the certificate. No
    client verifies that signature, and a plan does not have the private key of `public`.

    Raises: KeyNotAccepted for an Ed25519 key, because the Go clients cannot read one from a certificate.
    """
    public = public or private.public_key()
    if isinstance(public, Ed25519PublicKey):
        raise KeyNotAccepted(key="the root key", reason="Notary v1 knows no certificates of Ed25519 keys")
    with long_names_allowed():
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, gun, _validate=False)])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(at)
        .not_valid_after(at + LIFETIME)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    with long_names_allowed():
        pem = builder.sign(private, SHA256()).public_bytes(Encoding.PEM)
    return NotaryKey.of(_keytype(public), base64.b64encode(pem).decode())


def _keytype(public: PublicKey) -> str:
    return ("rsa" if isinstance(public, RSAPublicKey) else "ecdsa") + X509


def certificate_fault(key: Key, *, gun: str, at: datetime | None) -> str | None:
    """Return why a root key must not be used for the collection `gun`, or None if it may be used.

    The key must be in a certificate whose common name is `gun` or a prefix of it followed by `*`, and which is not
    signed with SHA-1: nobody verifies that signature, and the Go clients count no key in such a certificate. If `at` is
    given, the certificate must be valid at that time, or begin within LEEWAY after it. Raises: KeyNotAccepted.
    """
    if not key.keytype.endswith(X509):
        return "is no certificate"
    certificate = _certificate(key)
    try:
        name = _name_of(certificate)
    except ValueError:
        return "has no readable name"
    if name != gun and not (name.endswith(_WILDCARD) and gun.startswith(name.rstrip(_WILDCARD))):
        return f"is a certificate for {name[:80]!a}"
    if certificate.signature_algorithm_oid in _SHA1:
        return "is a certificate signed with SHA-1"
    if at is not None and not (
        certificate.not_valid_before_utc <= at + LEEWAY and at <= certificate.not_valid_after_utc
    ):
        start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        return f"is a certificate that is valid from {start:%Y-%m-%d} to {end:%Y-%m-%d} only"
    return None


def common_name(key: Key) -> str:
    """Return the common name of the certificate of a root key, "" if it has none; with `*` it stands for many names.

    Raises: KeyNotAccepted; ValueError if the name cannot be read.
    """
    return _name_of(_certificate(key))


def issuer_of(key: Key) -> str:
    """Return the name (RFC 4514) of the authority that issued the certificate of a root key.

    "": it has none, it cannot be read, or it signs itself. Whether that authority has really issued it is judged
    elsewhere.
    """
    if not key.keytype.endswith(X509):
        return ""
    try:
        certificate = _certificate(key)
        issuer, subject = name_of(certificate, issuer=True), name_of(certificate)
    except (ValueError, KeyNotAccepted):
        return ""
    return "" if issuer == subject else issuer.rfc4514_string()


def certificate_fingerprint(key: Key) -> str | None:
    """Return the SHA-256 (hex) of the certificate of a root key in DER; None if it has none.

    It is that of the bytes in the document, also where a name in it had to be made readable.
    """
    if not key.keytype.endswith(X509):
        return None
    try:
        der = certificate_der(base64.b64decode(key.keyval["public"]))
    except ValueError:
        return None
    return hashlib.sha256(der).hexdigest() if der else None


def _certificate(key: Key) -> x509.Certificate:
    # A key that is too weak counts for nothing; whose it is can be seen all the same.
    NotaryKey.of(key.keytype, key.keyval["public"]).decoded()
    return load_pem_certificate(base64.b64decode(key.keyval["public"]))


def _name_of(certificate: x509.Certificate) -> str:
    names = [str(entry.value) for entry in name_of(certificate).get_attributes_for_oid(NameOID.COMMON_NAME)]
    # Go's parser takes the last common name if there are several.
    return names[-1] if names else ""
