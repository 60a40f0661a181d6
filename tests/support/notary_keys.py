"""Key files for old clients, made without them: bare keys, certificates, and the root key that `notary init` takes."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.notary_client import ROOT_PASSPHRASE

_LIFE = timedelta(days=3650)


@dataclass(frozen=True)
class HandKey:
    """A private key and the name on its certificate."""

    private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    name: str

    @property
    def kind(self) -> str:
        """The keytype of the bare key."""
        return "rsa" if isinstance(self.private, rsa.RSAPrivateKey) else "ecdsa"

    @cached_property
    def certificate(self) -> bytes:
        """PEM; self-signed, as Notary makes its own: 10 years, for signing code, no authority."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        start = datetime.now(UTC) - timedelta(days=1)
        usage = dict.fromkeys(
            (
                "content_commitment",
                "data_encipherment",
                "key_agreement",
                "key_cert_sign",
                "crl_sign",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + _LIFE)
            .add_extension(x509.KeyUsage(digital_signature=True, key_encipherment=True, **usage), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(self.private, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

    def public_pem(self) -> bytes:
        """The bare public key."""
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def private_pem(self) -> bytes:
        """Unencrypted, in the older form, which `notary key import` takes with `--role`."""
        return self.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )

    def root_pem(self) -> bytes:
        """Encrypted, and with the header of a root key: the only form that `notary init --rootkey` takes."""
        pem = self.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.BestAvailableEncryption(ROOT_PASSPHRASE.encode()),
        )
        return pem.replace(b"Proc-Type:", b"role: root\nProc-Type:", 1)

    def write(self, folder: Path, stem: str) -> HandKeyFiles:
        """All of it as files."""
        files = HandKeyFiles(folder=folder, stem=stem)
        for path, content in (
            (files.private, self.private_pem()),
            (files.public, self.public_pem()),
            (files.certificate, self.certificate),
        ):
            Path(path).write_bytes(content)
        return files


class OldGoKey(HandKey):
    """A key with a certificate as Go up to 1.9 wrote it: a name with `*` is a PrintableString, not UTF8String."""

    @cached_property
    def certificate(self) -> bytes:
        """PEM; its signature does not fit, which no client verifies."""
        made = x509.load_pem_x509_certificate(super().certificate)
        der, name = made.public_bytes(serialization.Encoding.DER), self.name.encode()
        return pem_of(as_printable(der, name))


class Sha1Key(HandKey):
    """An RSA key with a certificate that says that it is signed with SHA-1."""

    @cached_property
    def certificate(self) -> bytes:
        """PEM; its signature does not fit, which no client verifies."""
        return pem_of(signed_by(x509.load_pem_x509_certificate(super().certificate), SHA1_WITH_RSA))


SHA1_WITH_RSA, MD5_WITH_RSA = b"\x05", b"\x04"
"""The ends of the object identifiers; that of SHA-256 has 11 there (RFC 4055, 5; RFC 3279, 2.2.1)."""


def signed_by(certificate: x509.Certificate, last: bytes) -> bytes:
    """A certificate of an RSA key that says that it is signed in another way."""
    der, oid = certificate.public_bytes(serialization.Encoding.DER), bytes.fromhex("06092a864886f70d010101")[:-1]
    assert der.count(oid + b"\x0b") == 2, "in what is signed, and behind it"
    return der.replace(oid + b"\x0b", oid + last)


def as_printable(der: bytes, text: bytes) -> bytes:
    """A certificate with this text of its names as PrintableString, whatever is in it."""
    old, new = (bytes([tag, len(text)]) + text for tag in (0x0C, 0x13))
    assert der.count(old) == 2, "issuer and subject"
    return der.replace(old, new)


def pem_of(der: bytes) -> bytes:
    """Bytes as the PEM text of a certificate, whatever they are, in lines as Go writes them: the key id is over it."""
    text = base64.b64encode(der)
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return b"\n".join([b"-----BEGIN CERTIFICATE-----", *lines, b"-----END CERTIFICATE-----", b""])


@dataclass(frozen=True, kw_only=True)
class HandKeyFiles:
    """Where `HandKey.write` has put things."""

    folder: Path
    stem: str

    @property
    def private(self) -> str:
        return str(self.folder / f"{self.stem}.key")

    @property
    def public(self) -> str:
        return str(self.folder / f"{self.stem}.pub")

    @property
    def certificate(self) -> str:
        return str(self.folder / f"{self.stem}.crt")


def new_ecdsa(name: str) -> HandKey:
    """P-256, as the clients make them."""
    return HandKey(ec.generate_private_key(ec.SECP256R1()), name)


def new_rsa(name: str) -> HandKey:
    """2048 bits, the smallest that the clients take."""
    return HandKey(rsa.generate_private_key(65537, 2048), name)
