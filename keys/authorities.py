"""Whether a certification authority (CA) vouches for a root key of Notary v1, by the certificates that the key brings.

The text of such a key holds its own certificate first and then, in any order, those of the CAs between it and the one
that somebody trusts. The rules are those of `notary` for `trust_pinning.ca`, and stricter where its library leaves
something open: docs/adr/0114. What is not understood is refused. Nothing is fetched, and no revocation is known.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, SignatureAlgorithmOID
from securesystemslib.signer import Key

from keys.algorithms import check_counts_in_notary
from keys.errors import KeyNotAccepted
from keys.go_certificate import PEM_CERTIFICATE, load_der_certificate
from keys.notary import X509
from keys.record import record

MAX_AUTHORITIES: Final = 16
"""How many certificates a bundle of trusted CAs may hold."""
MAX_CERTIFICATES: Final = 5
"""How many certificates a root key may bring: its own, and those of the CAs between. Each costs checks of signatures
before it is known whether anybody trusts the key."""
_HASHES: Final = (SHA256, SHA384, SHA512)
_UNDERSTOOD: Final = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    }
)
"""The extensions that may be critical. Other names of the subject mean nothing here: the common name counts."""
_USES: Final = frozenset({ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.SERVER_AUTH})
"""What the certificates may be for, if they say it: signing software, or what `notary` asks for. Certificates of people
(e-mail, login) have common names that these may choose."""


class NotCertified(Exception):
    """Nobody who is trusted vouches for a key, or a certificate cannot be trusted to. The text says why."""


@record
class _Parts:
    """What is judged of a certificate. `name`: the certificate in words. `longest`: how many CAs may stand below it.

    `usage`, `uses`: None if it says nothing of them.
    """

    name: str
    certificate: x509.Certificate
    is_authority: bool
    longest: int | None
    usage: x509.KeyUsage | None
    uses: frozenset[x509.ObjectIdentifier] | None


def read_authorities(pem: str) -> tuple[bytes, ...]:
    """Read the certificates of trusted CAs from a PEM text, and return each in DER.

    Raises: NotCertified: something else stands there, or a certificate is not a CA's, is too weak or has a critical
    extension that is not understood. Whether it is valid now is judged with each use.
    """
    ders = _ders(pem.encode(), "the text", most=MAX_AUTHORITIES)
    for number, der in enumerate(ders, 1):
        parts = _parts(der, f"certificate {number}")
        _check_may_issue(parts, between=0)
        if der in ders[: number - 1]:
            raise NotCertified(f"{parts.name} is there a second time")
    return tuple(ders)


def authority_end(der: bytes) -> datetime:
    """Return when the certificate of a trusted CA ends, which `read_authorities` has read."""
    return load_der_certificate(der).not_valid_after_utc


def certified_until(key: Key, *, authorities: Sequence[bytes], at: datetime) -> datetime:
    """Return until when one of the CAs (DER, from `read_authorities`) vouches for a root key, as of `at`.

    Whose key it is, the common name of its certificate, is judged elsewhere. Raises: NotCertified.
    """
    if not key.keytype.endswith(X509):
        raise NotCertified("it has no certificate")
    try:
        pem = base64.b64decode(key.keyval["public"], validate=True)
    except ValueError as error:
        raise NotCertified("its certificate cannot be read") from error
    first, *others = _ders(pem, "its text", most=MAX_CERTIFICATES)
    own = _parts(first, "its certificate")
    between = [_parts(der, f"the certificate {number} beside it") for number, der in enumerate(others, 1)]
    trusted = [_parts(der, "the certificate of the pinned CA") for der in authorities]
    _check_own(own, at)
    for parts in between:
        if not parts.is_authority:
            raise NotCertified(f"{parts.name} is not the certificate of a CA (basicConstraints)")
    return _followed(own, between, trusted, at)


def _followed(own: _Parts, between: Sequence[_Parts], trusted: Sequence[_Parts], at: datetime) -> datetime:
    """Follow the issuers up to a trusted CA, and return when the first certificate on the way ends.

    Each is the first that has issued the one before, and may. None is used twice, and no other way is tried: so that
    nobody can make the search long.
    """
    way = [own]
    while True:
        issued, below = way[-1], len(way) - 1
        anchor, fault = _issuer(issued, trusted, below, at)
        if anchor is not None:
            _check_uses([*way, anchor])
            return min(parts.certificate.not_valid_after_utc for parts in (*way, anchor))
        issuer, other = _issuer(issued, [parts for parts in between if parts not in way], below, at)
        if issuer is None:
            raise NotCertified(fault or other or f"{issued.name} was issued neither by that CA nor by one beside it")
        way.append(issuer)


def _issuer(issued: _Parts, candidates: Iterable[_Parts], below: int, at: datetime) -> tuple[_Parts | None, str | None]:
    """Return the first candidate that has issued a certificate and may; else why the first that has may not, if any."""
    fault: str | None = None
    for candidate in candidates:
        if _has_issued(candidate.certificate, issued.certificate):
            try:
                _check_may_issue(candidate, between=below)
                _check_valid(candidate, at)
            except NotCertified as error:
                fault = fault or str(error)
            else:
                return candidate, None
    return None, fault


def _has_issued(issuer: x509.Certificate, issued: x509.Certificate) -> bool:
    try:
        issued.verify_directly_issued_by(issuer)  # it compares the names first
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _check_own(own: _Parts, at: datetime) -> None:
    if own.is_authority:
        raise NotCertified(f"{own.name} is the certificate of a CA, which is never a collection's")
    if own.usage is not None and not own.usage.digital_signature:
        raise NotCertified(f"{own.name} is not for signatures (keyUsage)")
    _check_valid(own, at)


def _check_may_issue(parts: _Parts, *, between: int) -> None:
    """Check that a certificate may have issued another. `between`: how many CAs stand between it and the root key."""
    if not parts.is_authority:
        raise NotCertified(f"{parts.name} is not the certificate of a CA (basicConstraints)")
    if parts.longest is not None and between > parts.longest:
        raise NotCertified(f"{parts.name} allows {parts.longest} CAs below it, and there are {between} (pathlen)")
    if parts.usage is not None and not parts.usage.key_cert_sign:
        raise NotCertified(f"{parts.name} is not for certificates (keyUsage)")


def _check_valid(parts: _Parts, at: datetime) -> None:
    start, end = parts.certificate.not_valid_before_utc, parts.certificate.not_valid_after_utc
    if not start <= at <= end:
        raise NotCertified(f"{parts.name} is valid from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC only")


def _check_uses(way: Iterable[_Parts]) -> None:
    """Check that there is a use which every certificate that names uses allows."""
    uses = _USES
    for parts in way:
        if parts.uses is not None and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in parts.uses:
            uses &= parts.uses
    if not uses:
        raise NotCertified("its certificates are neither for code signing nor for servers (extendedKeyUsage)")


# --- reading


def _ders(pem: bytes, what: str, *, most: int) -> list[bytes]:
    """Return the certificates in a PEM text that holds nothing else. Raises: NotCertified, about `what`."""
    found: list[bytes] = []
    rest = pem.strip()
    while rest:
        block = PEM_CERTIFICATE.match(rest)
        if block is None:
            raise NotCertified(f"{what} holds something else than certificates in PEM")
        if len(found) == most:
            raise NotCertified(f"{what} holds more than {most} certificates")
        with _reading(what):
            found.append(base64.b64decode(b"".join(block[1].split()), validate=True))
        rest = rest[block.end() :].lstrip()
    if not found:
        raise NotCertified(f"{what} holds no certificate in PEM")
    return found


def _parts(der: bytes, name: str) -> _Parts:
    """Read a certificate, and check what is asked of each. Raises: NotCertified."""
    with _reading(name):
        certificate = load_der_certificate(der)
        public, extensions = certificate.public_key(), certificate.extensions
    if certificate.version is not x509.Version.v3:
        raise NotCertified(f"{name} is older than X.509 version 3, and cannot say what it is for")
    try:
        check_counts_in_notary(public, named="")
    except KeyNotAccepted as error:
        raise NotCertified(f"{name} has a key that is not accepted: {error.reason}") from error
    if not _is_signed_strongly(certificate):
        raise NotCertified(f"{name} is signed in a way that is not accepted, such as with SHA-1")
    for extension in extensions:
        if extension.oid == ExtensionOID.NAME_CONSTRAINTS:
            raise NotCertified(
                f"{name} limits names (nameConstraints), in a way that says nothing about names of collections"
            )
        if extension.critical and extension.oid not in _UNDERSTOOD:
            oid = extension.oid.dotted_string
            raise NotCertified(f"{name} has the critical extension {oid}, which is not understood")
    values = {extension.oid: extension.value for extension in extensions}
    basic = values.get(ExtensionOID.BASIC_CONSTRAINTS)
    usage, uses = values.get(ExtensionOID.KEY_USAGE), values.get(ExtensionOID.EXTENDED_KEY_USAGE)
    return _Parts(
        name=name,
        certificate=certificate,
        is_authority=isinstance(basic, x509.BasicConstraints) and basic.ca,
        longest=basic.path_length if isinstance(basic, x509.BasicConstraints) else None,
        usage=usage if isinstance(usage, x509.KeyUsage) else None,
        uses=frozenset(uses) if isinstance(uses, x509.ExtendedKeyUsage) else None,
    )


def _is_signed_strongly(certificate: x509.Certificate) -> bool:
    if certificate.signature_algorithm_oid == SignatureAlgorithmOID.ED25519:
        return True
    try:
        return isinstance(certificate.signature_hash_algorithm, _HASHES)
    except (ValueError, UnsupportedAlgorithm):
        return False


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Say of whatever is wrong with the form of a certificate that it cannot be read. Raises: NotCertified."""
    try:
        yield
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise NotCertified(f"{name} cannot be read") from error
