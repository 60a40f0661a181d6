"""Certification authorities for root keys of Notary v1, with whatever fault a test asks for."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from keys.algorithms import PrivateKey
from keys.notary import NotaryKey

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a certificate says. `usage`: names of keyUsage, None for none. `more`: further extensions, and if critical.

    `is_authority` None: nothing is said of it.
    """

    is_authority: bool | None = False
    longest: int | None = None
    usage: tuple[str, ...] | None = None
    uses: tuple[x509.ObjectIdentifier, ...] = ()
    start: datetime = START
    end: datetime = END
    hashed: type[SHA256 | SHA384 | SHA512] = SHA256
    more: tuple[tuple[x509.ExtensionType, bool], ...] = ()


LEAF, CA = Form(), Form(is_authority=True)


@cache
def key_called(name: str) -> ec.EllipticCurvePrivateKey:
    """The key of an authority: the same name, the same key."""
    del name
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Issuer:
    """An authority: its name, its key and its certificate."""

    name: str
    key: PrivateKey
    certificate: x509.Certificate

    @classmethod
    def root(cls, name: str = "Example Root CA", form: Form = CA, key: PrivateKey | None = None) -> Issuer:
        own = key or key_called(name)
        return cls(name, own, _certificate(name, name, own, own, form))

    def below(self, name: str, form: Form = CA, key: PrivateKey | None = None) -> Issuer:
        """An authority that this one has certified."""
        own = key or key_called(name)
        return Issuer(name, own, _certificate(name, self.name, own, self.key, form))

    def issue(self, name: str, private: PrivateKey, form: Form = LEAF) -> x509.Certificate:
        return _certificate(name, self.name, private, self.key, form)

    @property
    def pem(self) -> str:
        return pem_of(self.certificate)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def pem_of(*certificates: x509.Certificate) -> str:
    return "".join(each.public_bytes(Encoding.PEM).decode() for each in certificates)


def notary_key_of(*certificates: x509.Certificate, kind: str = "ecdsa") -> NotaryKey:
    """The key in the first certificate, which brings the others along."""
    return NotaryKey.of(f"{kind}-x509", base64.b64encode(pem_of(*certificates).encode()).decode())


def _certificate(subject: str, issuer: str, own: PrivateKey, by: PrivateKey, form: Form) -> x509.Certificate:
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in (subject, issuer)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(form.start)
        .not_valid_after(form.end)
    )
    if form.is_authority is not None:
        basic = x509.BasicConstraints(ca=form.is_authority, path_length=form.longest)
        builder = builder.add_extension(basic, critical=True)
    if form.usage is not None:
        usage = x509.KeyUsage(**{name: name in form.usage for name in USAGES})
        builder = builder.add_extension(usage, critical=True)
    if form.uses:
        builder = builder.add_extension(x509.ExtendedKeyUsage(form.uses), critical=False)
    for value, critical in form.more:
        builder = builder.add_extension(value, critical=critical)
    is_plain = isinstance(by, ed25519.Ed25519PrivateKey)
    return builder.sign(by, None if is_plain else form.hashed())


@cache
def weak_rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=1024)


def days(count: int) -> timedelta:
    return timedelta(days=count)


def chain(length: int, top: Issuer) -> Sequence[Issuer]:
    """Authorities one below the other, the lowest first; `top` has certified the last."""
    found: list[Issuer] = []
    for number in range(length):
        found.insert(0, (found[0] if found else top).below(f"CA {number}"))
    return found
