"""A certificate and its key for this machine, made by a certification authority of its own, under DATA/tls/.

DATA/tls/ holds a certification authority (CA) and a certificate that it signed. Clients are given `ca.crt`; `ca.key`
signs a new certificate before the old one expires.
"""

from __future__ import annotations

import ipaddress
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
from trustserver.errors import StartRefused
from trustserver.process.tls import TlsFiles

CA_LIFETIME: Final = timedelta(days=3650)
LEAF_LIFETIME: Final = timedelta(days=397)  # the longest that browsers and Apple's libraries accept
RENEW_BEFORE: Final = timedelta(days=30)
_BACKDATED: Final = timedelta(hours=1)  # the clocks of clients may be behind this one


def self_signed_files(folder: Path, *, host: str, at: datetime, address: str = "") -> TlsFiles:
    """Return a certificate for localhost, 127.0.0.1, ::1, `host` and `address`, signed by the CA in this folder.

    `address`: what is listened on; one that stands for all addresses of the machine is left out.

    CA and certificate are made at first use and kept. The certificate is made anew if it is about to expire, was made
    by a clock that was ahead, names another host or address, or was not signed by this CA; the CA only if it is about
    to expire, or a file of it is missing.
    Raises: StartRefused if the folder cannot be used or the CA is damaged.
    """
    try:
        make_private_folder(folder)
        ca_key, ca = _authority(folder, at)
        names = _names(host, address)
        if not _is_good_leaf(folder, ca, names, at):
            _make_leaf(folder, ca_key, ca, names, at)
    except OSError as error:
        raise StartRefused(what=str(folder), reason=f"cannot be used for TLS: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        reason = "holds a damaged CA; restore it, or remove the folder to get a new CA"
        raise StartRefused(what=str(folder), reason=reason) from error
    return TlsFiles(certificate=folder / "server.crt", key=folder / "server.key", ca=folder / "ca.crt")


def _authority(folder: Path, at: datetime) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key_file, ca_file = folder / "ca.key", folder / "ca.crt"
    if key_file.exists() and ca_file.exists():
        ca = x509.load_pem_x509_certificate(ca_file.read_bytes())
        if ca.not_valid_after_utc - at > RENEW_BEFORE:
            return _load_key(key_file), ca
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "content-trust server CA")])
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
    ca_key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate,
    names: list[x509.GeneralName],
    at: datetime,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "content-trust server")])
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


def _is_good_leaf(folder: Path, ca: x509.Certificate, names: list[x509.GeneralName], at: datetime) -> bool:
    try:
        leaf = x509.load_pem_x509_certificate((folder / "server.crt").read_bytes())
        key = _load_key(folder / "server.key")
        leaf.verify_directly_issued_by(ca)
        has = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False  # whatever is wrong with it, a new one can be made
    if ca.not_valid_before_utc <= at < leaf.not_valid_before_utc:
        return False  # before the CA's time, it is now that the clock is wrong, and a new one would be worse
    return leaf.not_valid_after_utc - at > RENEW_BEFORE and key.public_key() == leaf.public_key() and list(has) == names


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


def _names(host: str, address: str) -> list[x509.GeneralName]:
    ips = [ipaddress.ip_address(ip) for ip in ("127.0.0.1", "::1")]
    try:
        listens = ipaddress.ip_address(address)
    except ValueError:  # localhost, or none
        listens = ips[0]
    if not listens.is_unspecified and listens not in ips and not getattr(listens, "scope_id", None):
        ips.append(listens)
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    if host != "localhost" and host.isascii() and host:
        names.append(x509.DNSName(host))
    return [*names, *map(x509.IPAddress, ips)]


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
