"""Client certificates, with the faults that a test asks for, and lists of those that are revoked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.certificates import FAR_AWAY, LONG_AGO, Authority

TABLES = """
[[certificate]]
name = "carol"
subject = "CN=carol,O=Example"

[[certificate]]
name = "builder"
san = "URI:spiffe://example.com/builder"

[[certificate]]
name = "host"
san = "DNS:host.example.com"

[[certificate]]
name = "mail"
san = "EMAIL:carol@example.com"
"""
"""Which certificate is which subject, as an access file says it."""

KEY = ec.generate_private_key(ec.SECP256R1())
"""Of all clients: whose key a certificate has does not matter where no TLS is spoken."""


def issued(
    by: Authority,
    subject: str = "CN=carol,O=Example",
    *names: x509.GeneralName,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    since: datetime = LONG_AGO,
    until: datetime = FAR_AWAY,
    key: Any = KEY,
    hashed_with: hashes.HashAlgorithm | None = None,
) -> x509.Certificate:
    """A certificate. `names`: alternative ones. `extensions`: others, each with whether it is critical."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name.from_rfc4514_string(subject))
        .issuer_name(by.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(by.key, hashed_with or hashes.SHA256())  # type: ignore[arg-type]


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def revoking(
    by: Authority,
    *certificates: x509.Certificate,
    since: datetime,
    until: datetime,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> bytes:
    """A list of revoked certificates, PEM."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(by.certificate.subject)
    builder = builder.last_update(since).next_update(until)
    for certificate in certificates:
        entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(since)
        builder = builder.add_revoked_certificate(entry.build())
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(by.key, hashes.SHA256()).public_bytes(Encoding.PEM)
