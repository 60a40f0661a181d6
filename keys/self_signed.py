"""A certificate and its key for a program that serves, made by a certification authority (CA) of its own in a folder.

Clients are given `ca.crt`; `ca.key` signs a new certificate before the old one expires.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keys.durable_file import make_private_folder, write_durably
from keys.record import record

CA_LIFETIME: Final = timedelta(days=3650)
LEAF_LIFETIME: Final = timedelta(days=397)  # the longest that browsers and Apple's libraries accept
RENEW_BEFORE: Final = timedelta(days=30)
_BACKDATED: Final = timedelta(hours=1)  # the clocks of clients may be behind this one


@record
class SelfSignedFiles:
    """Paths of a certificate, its key and the CA's certificate, all PEM. The key is unencrypted."""

    certificate: Path
    key: Path
    ca: Path


def self_signed_files(folder: Path, *, hosts: Sequence[str], subject: str, at: datetime) -> SelfSignedFiles:
    """Return a certificate for these names and addresses, signed by the CA in this folder.

    CA and certificate are made at first use and kept. The certificate is made anew if it is about to expire, was made
    by a clock that was ahead, names other hosts, or was not signed by this CA; the CA only if it is about to expire,
    or a file of it is missing. `subject`: what the certificate calls the program, such as `content-trust server`.

    Raises: OSError (the folder cannot be used), ValueError (the CA is damaged; the text says what to do).
    """
    names = _names(hosts)
    make_private_folder(folder)
    try:
        authority = _authority(folder, subject, at)
        if not _is_good_leaf(folder, authority[1], names, at):
            _make_leaf(folder, authority, names, subject=subject, at=at)
    except (ValueError, TypeError) as error:
        raise ValueError("holds a damaged CA; restore it, or remove the folder to get a new CA") from error
    return SelfSignedFiles(certificate=folder / "server.crt", key=folder / "server.key", ca=folder / "ca.crt")


def _authority(folder: Path, subject: str, at: datetime) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key_file, ca_file = folder / "ca.key", folder / "ca.crt"
    if key_file.exists() and ca_file.exists():
        ca = x509.load_pem_x509_certificate(ca_file.read_bytes())
        if ca.not_valid_after_utc - at > RENEW_BEFORE:
            return _load_key(key_file), ca
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{subject} CA")])
    ca = (
        _builder(name, name, key.public_key(), at, CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    # The key is written first: a CA certificate without its key could never sign another certificate.
    write_durably(key_file, _pem(key))
    write_durably(ca_file, ca.public_bytes(Encoding.PEM), mode=0o644)
    return key, ca


def _make_leaf(
    folder: Path,
    authority: tuple[ec.EllipticCurvePrivateKey, x509.Certificate],
    names: list[x509.GeneralName],
    *,
    subject: str,
    at: datetime,
) -> None:
    ca_key, ca = authority
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    leaf = (
        _builder(name, ca.subject, key.public_key(), at, LEAF_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    write_durably(folder / "server.key", _pem(key))
    write_durably(folder / "server.crt", leaf.public_bytes(Encoding.PEM), mode=0o644)


def _is_good_leaf(folder: Path, ca: x509.Certificate, wanted: list[x509.GeneralName], at: datetime) -> bool:
    try:
        leaf = x509.load_pem_x509_certificate((folder / "server.crt").read_bytes())
        key = _load_key(folder / "server.key")
        leaf.verify_directly_issued_by(ca)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False  # whatever is wrong with it, a new one can be made
    if ca.not_valid_before_utc <= at < leaf.not_valid_before_utc:
        return False  # before the CA's time, it is now that the clock is wrong, and a new one would be worse
    return (
        leaf.not_valid_after_utc - at > RENEW_BEFORE and key.public_key() == leaf.public_key() and list(names) == wanted
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, at: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - _BACKDATED)
        .not_valid_after(at + lifetime)
    )


def _names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    """Return each host once, in this order; what no certificate can name is left out."""
    names: list[x509.GeneralName] = []
    for host in dict.fromkeys(filter(None, hosts)):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            if host.isascii():
                names.append(x509.DNSName(host))
    return names


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(path.name)
    return key
