"""The keys that a token server signs with, as the operator names them: certificates (PEM) and a JWK set.

A token says which key it is signed with by `x5c`, a certificate chain (RFC 7515, 4.1.6), or by `kid`. A `kid` is the
JWK thumbprint of a certificate's key (RFC 7638), its older fingerprint by libtrust, which is what most token servers of
registries write, or the `kid` that the JWK set gives it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.verification import Criticality, ExtensionPolicy, Policy, PolicyBuilder, Store, VerificationError
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, OctKey, OKPKey, RSAKey

from trustserver.errors import StartRefused, TokenRefused

MAX_FILE: Final = 1024 * 1024
MAX_CHAIN: Final = 8
"""Certificates in `x5c`, at most."""
LEAST_RSA: Final = 2048
"""Bits (RFC 7518, 3.3)."""
FOREVER: Final = datetime.max.replace(tzinfo=UTC)
"""How long a key of a JWK set holds: it says nothing of it."""

_CURVES: Final = frozenset({"secp256r1", "secp384r1", "secp521r1"})
_PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key that may sign tokens, and until when."""

    key: Key
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    key: Key
    since: datetime
    until: datetime


class TokenKeys:
    """The keys that are trusted. Certificates are looked at again for each token: they may have expired since."""

    def __init__(self, certificates: Sequence[x509.Certificate], jwks: Sequence[Key] = ()) -> None:
        """Raises: ValueError, if a key is of a kind, curve or size that signs no tokens here."""
        self._certificates = list(certificates)
        self._by_kid: dict[str, list[_Named]] = {}
        for certificate in certificates:
            public = _usable(certificate.public_key())
            key = _joserfc_key(public)
            named = _Named(key=key, since=certificate.not_valid_before_utc, until=certificate.not_valid_after_utc)
            for kid in (key.thumbprint(), libtrust_id(public)):
                self._by_kid.setdefault(kid, []).append(named)
        for key in jwks:
            if isinstance(key, OctKey) or key.is_private:
                raise ValueError("a token server's secret is none of this server's business: only public keys are")
            _usable(key.public_key)
            named = _Named(key=key, since=datetime.min.replace(tzinfo=UTC), until=FOREVER)
            self._by_kid.setdefault(key.kid or key.thumbprint(), []).append(named)

    @property
    def last_until(self) -> datetime:
        """When the last of the keys ends."""
        return max(named.until for keys in self._by_kid.values() for named in keys)

    def find(self, header: Mapping[str, object], at: datetime) -> SigningKey:
        """The key that a token with this header must be signed with. Raises: TokenRefused."""
        if "x5c" in header:
            return self._by_chain(header["x5c"], at)
        kid = header.get("kid")
        if not isinstance(kid, str):
            raise TokenRefused(reason="it names no key by x5c or kid")
        known = self._by_kid.get(kid)
        if known is None:
            raise TokenRefused(reason="it is signed with a key that is not known here")
        for named in known:
            if named.since <= at <= named.until:
                return SigningKey(key=named.key, until=named.until)
        raise TokenRefused(reason="the certificate of its key has expired, or is not valid yet")

    def _by_chain(self, x5c: object, at: datetime) -> SigningKey:
        chain = _certificates(x5c)
        if not self._certificates:
            raise TokenRefused(reason="it names its key by x5c, and no certificates are known here")
        verifier = (
            PolicyBuilder()
            .store(Store(self._certificates))
            .time(at)
            .extension_policies(ca_policy=_AUTHORITY, ee_policy=ExtensionPolicy.permit_all())
            .build_client_verifier()
        )
        try:
            verified = verifier.verify(chain[0], chain[1:]).chain
        except VerificationError as error:
            reason = "its certificate chain leads to no certificate that is known here, or has expired"
            raise TokenRefused(reason=reason) from error
        try:
            key = _joserfc_key(_usable(chain[0].public_key()))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise TokenRefused(reason="the key of its certificate cannot sign tokens here") from error
        return SigningKey(key=key, until=min(certificate.not_valid_after_utc for certificate in verified))


def load_keys(certificates: Path | None, jwks: Path | None) -> TokenKeys:
    """The keys of these files, at least one of which is named. Raises: StartRefused."""
    try:
        found = TokenKeys(_read_certificates(certificates) if certificates else (), _read_jwks(jwks) if jwks else ())
    except (ValueError, UnsupportedAlgorithm) as error:
        what = " and ".join(str(file) for file in (certificates, jwks) if file)
        raise StartRefused(what=what, reason=f"holds a key that cannot sign tokens here: {error}") from error
    return found


def libtrust_id(public: _PublicKey) -> str:
    """The fingerprint that libtrust gives to a public key: 240 bits of its SHA-256, in twelve groups of base32."""
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
    return ":".join(text[place : place + 4] for place in range(0, len(text), 4))


def _usable(public: object) -> _PublicKey:
    """Raises: ValueError, if it is of a kind, curve or size that signs no tokens here."""
    if not isinstance(public, _PublicKey):
        raise ValueError("it is neither RSA nor ECDSA nor Ed25519")  # noqa: TRY004 - bad input, not a bad call
    if isinstance(public, rsa.RSAPublicKey) and public.key_size < LEAST_RSA:
        raise ValueError(f"RSA keys have at least {LEAST_RSA} bits")
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name not in _CURVES:
        raise ValueError(f"the curve {public.curve.name} is not used for tokens")
    return public


def _joserfc_key(public: _PublicKey) -> Key:
    if isinstance(public, rsa.RSAPublicKey):
        return RSAKey.import_key(_pem(public))
    if isinstance(public, ec.EllipticCurvePublicKey):
        return ECKey.import_key(_pem(public))
    return OKPKey.import_key(_pem(public))


def _pem(public: _PublicKey) -> bytes:
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _certificates(x5c: object) -> list[x509.Certificate]:
    if not isinstance(x5c, list) or not 0 < len(x5c) <= MAX_CHAIN:
        raise TokenRefused(reason=f"its x5c is no list of 1 to {MAX_CHAIN} certificates")
    try:
        return [x509.load_der_x509_certificate(base64.b64decode(entry, validate=True)) for entry in x5c]
    except (TypeError, ValueError, binascii.Error) as error:
        raise TokenRefused(reason="its x5c holds something that is no certificate") from error


def _may_issue(policy: Policy, certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    del policy, certificate
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("this certificate's key may not sign others")


# Signing certificates of token servers are made for this purpose alone, mostly by hand: what web servers' certificates
# must have is not asked of them. Who may issue another certificate is (RFC 5280, 6.1.4): that cA is set where the
# extension is there, and how long the path may be, is checked in any case.
_AUTHORITY: Final = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _may_issue)
)


def _read_certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path))
    except ValueError as error:
        raise StartRefused(what=str(path), reason="holds no certificates in PEM") from error


def _read_jwks(path: Path) -> list[Key]:
    try:
        with warnings.catch_warnings():  # of weak keys, which are refused
            warnings.simplefilter("ignore")
            return list(KeySet.import_key_set(json.loads(_read(path))))
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StartRefused(what=str(path), reason="is no JWK set (RFC 7517)") from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except OSError as error:
        raise StartRefused(what=str(path), reason=f"cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE:
        raise StartRefused(what=str(path), reason=f"has more than {MAX_FILE} bytes")
    return content
