"""Verify the certificate chain of a token (`x5c`) in the order in which it is given, with few signature checks.

RFC 7515, 4.1.6: the first certificate holds the key of the token, and each one is certified by the next. So nothing is
searched for: the chain is followed down from a certificate that the operator named, and it ends at the first signature
that is wrong. Only a chain whose every signature holds is judged as a whole (RFC 5280, 6.1), which `cryptography` does.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import Criticality, ExtensionPolicy, Policy, PolicyBuilder, Store, VerificationError

from keys.go_certificate import load_der_certificate, name_of
from trustserver.auth.accepted_keys import PublicKey, usable
from trustserver.errors import TokenRefused

MAX_CHAIN: Final = 8
"""The highest number of certificates in `x5c`."""
MAX_CERTIFICATE: Final = 8 * 1024
"""The longest certificate in `x5c`, in characters. One with an RSA key of 8192 bits takes about three thousand."""
MAX_AUTHORITIES: Final = 4
"""How many of the operator's certificates are tried. More than one has the right name while keys are changed."""

_LEADS_NOWHERE: Final = (
    "its certificate chain, in the order given, leads to no certificate that is known here, or has expired"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedChain:
    """The key of the first certificate, and when the first certificate of the chain expires."""

    key: PublicKey
    until: datetime


class ChainVerifier:
    """Verifies chains that end at one of the operator's certificates, or are issued by one."""

    def __init__(self, certificates: Sequence[x509.Certificate]) -> None:
        self._known = {certificate.public_bytes(Encoding.DER): certificate for certificate in certificates}

    def verify(self, x5c: Sequence[bytes], at: datetime) -> VerifiedChain:
        """Return the key that the first certificate vouches for at this time. `x5c`: certificates in DER.

        Raises: TokenRefused. It is `lasting` if a signature is wrong.
        """
        chain: list[x509.Certificate] = []
        keys: list[PublicKey] = []
        tries = MAX_AUTHORITIES
        for der in x5c:
            certificate = self._known.get(der) or parse_certificate(der)
            _check_valid(certificate, at)
            keys.append(_key(certificate))
            if chain and not _may_issue(certificate):
                raise TokenRefused(reason=_LEADS_NOWHERE, lasting=True)
            chain.append(certificate)
            if der in self._known:
                return _followed(chain, keys[0], certificate, at)
            for authority in self._named(certificate, at)[:tries]:
                tries -= 1
                if is_issued_by(certificate, authority):
                    return _followed(chain, keys[0], authority, at)
        all_valid = all(_is_valid(known, at) for known in self._known.values())
        raise TokenRefused(reason=_LEADS_NOWHERE, lasting=tries < MAX_AUTHORITIES and all_valid)

    def _named(self, certificate: x509.Certificate, at: datetime) -> list[x509.Certificate]:
        """Return the operator's certificates that may be the issuer of this one."""
        named = [known for known in self._known.values() if known.subject == certificate.issuer]
        return [known for known in named if _may_issue(known) and _is_valid(known, at)]


def _followed(
    chain: Sequence[x509.Certificate], key: PublicKey, anchor: x509.Certificate, at: datetime
) -> VerifiedChain:
    """Follow a chain down from the operator's certificate `anchor`, which is or has issued its last certificate.

    Raises: TokenRefused.
    """
    for issuer, issued in zip(chain[:0:-1], chain[-2::-1], strict=True):
        if not is_issued_by(issued, issuer):
            raise TokenRefused(reason=_LEADS_NOWHERE, lasting=True)
    _judge(chain, anchor, at)
    return VerifiedChain(key=key, until=min(each.not_valid_after_utc for each in (*chain, anchor)))


def _check_valid(certificate: x509.Certificate, at: datetime) -> None:
    if not _is_valid(certificate, at):
        raise TokenRefused(reason=_LEADS_NOWHERE)


def _is_valid(certificate: x509.Certificate, at: datetime) -> bool:
    return certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc


def decode_chain(x5c: object) -> list[bytes]:
    """Decode the header `x5c` and check its sizes. No certificate is parsed. Raises: TokenRefused."""
    if not isinstance(x5c, list) or not 0 < len(x5c) <= MAX_CHAIN:
        raise TokenRefused(reason=f"its x5c is no list of 1 to {MAX_CHAIN} certificates")
    if any(isinstance(entry, str) and len(entry) > MAX_CERTIFICATE for entry in x5c):
        raise TokenRefused(reason=f"its x5c holds a certificate of more than {MAX_CERTIFICATE} characters")
    try:
        return [base64.b64decode(entry, validate=True) for entry in x5c]
    except (TypeError, ValueError, binascii.Error) as error:
        raise TokenRefused(reason="its x5c holds something that is no certificate") from error


def parse_certificate(der: bytes) -> x509.Certificate:
    """Parse a certificate of a token. Raises: TokenRefused."""
    try:
        certificate = load_der_certificate(der)
        name_of(certificate, issuer=True)  # it is compared with those of the operator's certificates
    except ValueError as error:
        raise TokenRefused(reason="its x5c holds something that is no certificate") from error
    return certificate


def is_issued_by(issued: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Return whether one certificate names the other as its issuer and has its signature: one signature check."""
    try:
        issued.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _key(certificate: x509.Certificate) -> PublicKey:
    try:
        return usable(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise TokenRefused(reason="the key of its certificate cannot sign tokens here", lasting=True) from error


def _may_issue(certificate: x509.Certificate) -> bool:
    """Return whether a certificate says that it may issue others, before its signatures are worth a check."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError, TypeError):
        return False


def _judge(chain: Sequence[x509.Certificate], anchor: x509.Certificate, at: datetime) -> None:
    """Judge a chain whose signatures hold by all rules of RFC 5280, 6.1. Raises: TokenRefused."""
    verifier = (
        PolicyBuilder()
        .store(Store([anchor]))
        .time(at)
        .extension_policies(ca_policy=_AUTHORITY, ee_policy=ExtensionPolicy.permit_all())
        .build_client_verifier()
    )
    try:
        verifier.verify(chain[0], list(chain[1:]))
    except VerificationError as error:
        raise TokenRefused(reason=_LEADS_NOWHERE, lasting=True) from error


def _check_may_sign(policy: Policy, certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    """Check that a certificate may issue others, as the library asks. Raises: ValueError."""
    del policy, certificate
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("this certificate's key may not sign others")


# The certificates of token servers are mostly made by hand and for this purpose only. So the extensions that the
# certificates of web servers need are not required. What is required of a certificate that issues another one is
# BasicConstraints and, if it has KeyUsage, the right to sign certificates (RFC 5280, 6.1.4). The library itself checks
# that cA is set and that the path is not too long.
_AUTHORITY: Final = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _check_may_sign)
)
