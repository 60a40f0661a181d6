"""The public keys of the token server, from the operator's files: certificates (PEM) and a JWK set (RFC 7517).

A token names its key in its header, by `x5c` or by `kid`. `x5c` is a certificate chain (RFC 7515, 4.1.6). `kid` is one
of three: the JWK thumbprint of a certificate's key (RFC 7638); the key's fingerprint in the older form of libtrust,
which most token servers of registries write; or the `kid` that the JWK set gives to a key.
"""

from __future__ import annotations

import base64
import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, OctKey, OKPKey, RSAKey

from keys.errors import KeyFileMalformed
from keys.go_certificate import load_der_certificate
from keys.pem import lacking, read_pem
from trustserver.auth.accepted_keys import PublicKey, usable
from trustserver.auth.token_chain import ChainVerifier, decode_chain
from trustserver.errors import StartRefused, TokenRefused
from trustserver.guarded_files import read_guarded_bytes

_NO_CERTIFICATES: Final = "it names its key by x5c, and no certificates are known here"
MAX_FILE: Final = 1024 * 1024  # bytes
FOREVER: Final = datetime.max.replace(tzinfo=UTC)
"""When a key of a JWK set expires: never, since a JWK set has no dates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key that may sign tokens. `until`: when its certificate expires."""

    key: Key
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _KnownKey:
    key: Key
    since: datetime
    until: datetime


class TokenKeys:
    """The keys that are trusted to sign tokens. Each search checks again whether a certificate has expired."""

    def __init__(self, certificates: Sequence[x509.Certificate], jwks: Sequence[Key] = ()) -> None:
        """Store the keys under all ids that a token may use for them.

        Raises: ValueError if a key is of a type, curve or size that is not accepted, or is a private or shared key.
        """
        self._chains = ChainVerifier(certificates) if certificates else None
        self._by_kid: dict[str, list[_KnownKey]] = {}
        for certificate in certificates:
            public = usable(certificate.public_key())
            key = _joserfc_key(public)
            known_key = _KnownKey(
                key=key, since=certificate.not_valid_before_utc, until=certificate.not_valid_after_utc
            )
            for kid in (key.thumbprint(), libtrust_id(public)):
                self._by_kid.setdefault(kid, []).append(known_key)
        for key in jwks:
            if isinstance(key, OctKey) or key.is_private:
                raise ValueError("a token server's secret does not belong here: give public keys only")
            usable(key.public_key)
            known_key = _KnownKey(key=key, since=datetime.min.replace(tzinfo=UTC), until=FOREVER)
            self._by_kid.setdefault(key.kid or key.thumbprint(), []).append(known_key)

    @property
    def last_until(self) -> datetime:
        """When the last of the keys expires."""
        return max(known_key.until for keys in self._by_kid.values() for known_key in keys)

    def check_named(self, header: Mapping[str, object]) -> None:
        """Check that a header names a key that may be known, without parsing certificates. Raises: TokenRefused."""
        if "x5c" in header:
            decode_chain(header["x5c"])
            if self._chains is None:
                raise TokenRefused(reason=_NO_CERTIFICATES)
        else:
            self._candidates(header)

    def find(self, header: Mapping[str, object], at: datetime) -> SigningKey:
        """Return the key that a token with this header must be signed with.

        Raises: TokenRefused if the header names no key, or an unknown one, or one that is not valid at this time.
        """
        if "x5c" in header:
            return self._by_chain(header["x5c"], at)
        for known_key in self._candidates(header):
            if known_key.since <= at <= known_key.until:
                return SigningKey(key=known_key.key, until=known_key.until)
        raise TokenRefused(reason="the certificate of its key has expired, or is not valid yet")

    def _candidates(self, header: Mapping[str, object]) -> list[_KnownKey]:
        kid = header.get("kid")
        if not isinstance(kid, str):
            raise TokenRefused(reason="it names no key by x5c or kid")
        candidates = self._by_kid.get(kid)
        if candidates is None:
            raise TokenRefused(reason="it is signed with a key that is not known here")
        return candidates

    def _by_chain(self, x5c: object, at: datetime) -> SigningKey:
        chain = decode_chain(x5c)
        if self._chains is None:
            raise TokenRefused(reason=_NO_CERTIFICATES)
        verified = self._chains.verify(chain, at)
        return SigningKey(key=_joserfc_key(verified.key), until=verified.until)


def load_keys(certificates: Path | None, jwks: Path | None) -> TokenKeys:
    """Read the keys from these files; at least one of the two must be given.

    Raises: StartRefused if a file cannot be read or holds a key that is not accepted.
    """
    try:
        found = TokenKeys(_read_certificates(certificates) if certificates else (), _read_jwks(jwks) if jwks else ())
    except (ValueError, UnsupportedAlgorithm) as error:
        what = " and ".join(str(file) for file in (certificates, jwks) if file)
        raise StartRefused(what=what, reason=f"holds a key that cannot sign tokens here: {error}") from error
    return found


def libtrust_id(public: PublicKey) -> str:
    """Return libtrust's fingerprint of a public key: 240 bits of its SHA-256 in base32, in twelve groups of four.

    The hash is over the key in DER (SubjectPublicKeyInfo).
    """
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
    return ":".join(text[start : start + 4] for start in range(0, len(text), 4))


def _joserfc_key(public: PublicKey) -> Key:
    if isinstance(public, rsa.RSAPublicKey):
        return RSAKey.import_key(_pem(public))
    if isinstance(public, ec.EllipticCurvePublicKey):
        return ECKey.import_key(_pem(public))
    return OKPKey.import_key(_pem(public))


def _pem(public: PublicKey) -> bytes:
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _read_certificates(path: Path) -> list[x509.Certificate]:
    content = read_guarded_bytes(path, limit=MAX_FILE)
    try:
        return x509.load_pem_x509_certificates(content)
    except (ValueError, x509.InvalidVersion):
        pass  # perhaps because of what is around the PEM (docs/adr/0060)
    try:
        blocks = read_pem(content, place=str(path), wanted="certificate")
        found = [load_der_certificate(block.content) for block in blocks if block.label == "CERTIFICATE"]
        if not found:
            raise lacking(blocks, place=str(path), wanted="certificate")
    except KeyFileMalformed as error:
        helps = f"; {error.command}" if error.command else ""
        raise StartRefused(what=str(path), reason=f"holds no certificates in PEM: {error.reason}{helps}") from error
    except ValueError as error:
        raise StartRefused(what=str(path), reason="holds no certificates in PEM") from error
    return found


def _read_jwks(path: Path) -> list[Key]:
    try:
        with warnings.catch_warnings():  # joserfc warns of weak keys; those are refused anyway
            warnings.simplefilter("ignore")
            return list(KeySet.import_key_set(json.loads(read_guarded_bytes(path, limit=MAX_FILE))))
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StartRefused(what=str(path), reason="is not a JWK set (RFC 7517)") from error
