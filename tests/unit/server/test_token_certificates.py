"""Odd certificates in tokens: whoever sends one, with no rights at all, gets a refusal and no internal error."""

from __future__ import annotations

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID

from tests.simulator.token_issuer import ISSUER, SERVICE, Certified, certify, claims, token
from tests.support.server_owner import NOW
from trustserver.auth.token_keys import TokenKeys
from trustserver.auth.tokens import TokenVerifier
from trustserver.errors import TokenRefused

TRUSTED = certify(NOW)
OTHER = certify(NOW, name="XXXX")


def refusal(*x5c: bytes) -> str:
    keys = TokenKeys([TRUSTED.certificate])
    bearer = token(OTHER.key, claims(NOW), x5c=[base64.b64encode(der).decode() for der in x5c])
    with pytest.raises(TokenRefused) as refused:
        TokenVerifier(keys, issuer=ISSUER, service=SERVICE).verify(bearer.encode(), NOW)
    return refused.value.reason


def der_of(certified: Certified) -> bytes:
    return certified.certificate.public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a003020102", "a003020103"),  # version 4
        ("0c0458585858", "030400585858"),  # a name that is a BIT STRING
        ("0c0458585858", "0c04fffefffe"),  # and one that is no text
    ],
)
def test_what_cannot_be_read_is_no_certificate(old: str, new: str) -> None:
    odd = der_of(OTHER).replace(bytes.fromhex(old), bytes.fromhex(new))
    assert odd != der_of(OTHER)
    assert "no certificate" in refusal(odd)
    assert "no certificate" in refusal(odd, der_of(TRUSTED))


def test_an_issuer_with_extensions_that_cannot_be_read_leads_nowhere() -> None:
    address = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, bytes.fromhex("3004a3023000"))
    issuer = certify(NOW, name="odd", extensions=[address])
    leaf = certify(NOW, issuer=issuer)
    assert "leads to no certificate" in refusal(der_of(leaf), der_of(issuer), der_of(TRUSTED))
