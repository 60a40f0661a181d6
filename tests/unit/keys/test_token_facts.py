"""What a token says of itself, and which one a URI means: a key of another token is never used."""

from __future__ import annotations

import pytest

from keys.pkcs11.pkcs11_uri import Pkcs11Uri
from keys.pkcs11.token_facts import LOGIN_REQUIRED, PIN_LOCKED, PIN_SET, TokenFacts


class Token:
    """A token, as python-pkcs11 gives it."""

    label, serial, manufacturer_id, model, flags = "T\n", b"0\xff1", "Acme", "X1", LOGIN_REQUIRED | PIN_SET


FACTS = TokenFacts(label="T", serial="01", manufacturer="Acme", model="X1", flags=0)


def test_all_that_it_says_is_taken_over_also_a_serial_number_that_is_no_text() -> None:
    facts = TokenFacts.of(Token())
    assert facts == TokenFacts(
        label="T\n", serial="0\ufffd1", manufacturer="Acme", model="X1", flags=LOGIN_REQUIRED | PIN_SET
    )
    assert facts.described == r"token T\n (serial 0\ufffd1)"
    assert (facts.has(PIN_SET), facts.has(PIN_LOCKED)) == (True, False)


@pytest.mark.parametrize(
    ("uri", "fits"),
    [
        (Pkcs11Uri(module="/x"), True),
        (Pkcs11Uri(module="/x", token="T", serial="01", manufacturer="Acme", model="X1"), True),
        (Pkcs11Uri(module="/x", token="U"), False),
        (Pkcs11Uri(module="/x", token="T", serial="02"), False),
        (Pkcs11Uri(module="/x", token="T", manufacturer="Acne"), False),
        (Pkcs11Uri(module="/x", token="T", model="X2"), False),
        (Pkcs11Uri(module="/x", token="T", serial=""), False),
        (Pkcs11Uri(module="/x", serial="01"), True),
        (Pkcs11Uri(module="/x", manufacturer="Acme"), True),
        (Pkcs11Uri(module="/x", model="X1"), True),
    ],
)
def test_whatever_a_uri_says_of_its_token_must_be_so(uri: Pkcs11Uri, fits: bool) -> None:  # noqa: FBT001
    assert FACTS.fits(uri) is fits
