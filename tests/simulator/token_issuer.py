"""Who issues registry tokens: keys, their certificates, and JWTs that say what a test wants them to say."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

REALM = "https://auth.example.com/token"
ISSUER = "auth.example.com"
SERVICE = "trust.example.com"


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """A key and its certificate."""

    key: PrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


def certify(
    at: datetime,
    *,
    name: str = "token server",
    key: PrivateKey | None = None,
    issuer: Certified | None = None,
    days: float = 30,
    extensions: Sequence[x509.ExtensionType] = (),
) -> Certified:
    """A certificate that is valid for a day before `at` and `days` after; self-signed without an issuer."""
    key = key or p256()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - timedelta(days=1))
        .not_valid_after(at + timedelta(days=days))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    signer = issuer.key if issuer else key
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Certified(key=key, certificate=builder.sign(signer, digest))


def authority(at: datetime, *, name: str = "CA", issuer: Certified | None = None, days: float = 30) -> Certified:
    """A certificate that may issue others."""
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    return certify(at, name=name, issuer=issuer, days=days, extensions=[constraints])


def x5c(*chain: Certified) -> dict[str, Any]:
    """The header that carries these certificates, the signer's first."""
    return {"x5c": [base64.b64encode(link.certificate.public_bytes(Encoding.DER)).decode() for link in chain]}


def access(name: str, *actions: str, kind: str = "repository") -> dict[str, Any]:
    return {"type": kind, "name": name, "actions": list(actions)}


def claims(at: datetime, *entries: Mapping[str, Any], **others: Any) -> dict[str, Any]:
    """What a token server says; `others` say it differently, and None leaves a claim out."""
    seconds = int(at.timestamp())
    usual = {
        "iss": ISSUER,
        "sub": "alice",
        "aud": SERVICE,
        "exp": seconds + 300,
        "nbf": seconds - 10,
        "iat": seconds,
        "jti": "1",
        "access": list(entries),
    }
    return {name: value for name, value in {**usual, **others}.items() if value is not None}


def token(key: PrivateKey, said: Mapping[str, Any] | bytes, *, alg: str = "", **header: Any) -> str:
    """A JWT, put together by hand: what a library would refuse to write can be tried too."""
    algorithm = alg or _algorithm(key)
    head = _base64(json.dumps({"typ": "JWT", "alg": algorithm, **header}).encode())
    body = _base64(said if isinstance(said, bytes) else json.dumps(said).encode())
    return f"{head}.{body}.{_base64(signature_of(key, f'{head}.{body}'.encode(), algorithm))}"


def now() -> datetime:
    """For programs: they have a clock of their own."""
    return datetime.now(UTC)


def _algorithm(key: PrivateKey) -> str:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}.get(key.curve.name, "ES256")
    return "RS256" if isinstance(key, rsa.RSAPrivateKey) else "EdDSA"


def signature_of(key: PrivateKey, content: bytes, algorithm: str) -> bytes:
    digests = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
    digest = digests.get(algorithm[-3:], hashes.SHA256())
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(content)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        size = (key.curve.key_size + 7) // 8
        r, s = decode_dss_signature(key.sign(content, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    pss = padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size)
    return key.sign(content, pss if algorithm.startswith("PS") else padding.PKCS1v15(), digest)


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
