"""One table says which kinds of keys count where; the code does so, and the reference page says so."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Signature, SSlibKey

from keys import algorithms
from keys.algorithms import (
    KEY_KINDS,
    Algorithm,
    KeyKind,
    PublicKey,
    algorithm_of,
    bare_keyid,
    check_accepted,
    check_counts_in_notary,
    generate,
    key_fingerprint,
)
from keys.certificate import common_name, root_certificate
from keys.errors import KeyNotAccepted, KeyNotCounted
from keys.material import tuf_key
from keys.notary import METHOD, NotaryKey, bare_key
from tests.support.notary_keys import HandKey

_PAGE: Final = Path(__file__).parents[3] / "docs" / "reference" / "keys.md"
EXAMPLES: Final[dict[str, PublicKey]] = {
    "ECDSA P-256": generate(Algorithm.ECDSA_P256).public_key(),
    "ECDSA P-384": generate(Algorithm.ECDSA_P384).public_key(),
    "Ed25519": generate(Algorithm.ED25519).public_key(),
    "RSA, 2048 to 8192 bits": rsa.generate_private_key(65537, 2048).public_key(),
    "ECDSA P-521": ec.generate_private_key(ec.SECP521R1()).public_key(),
    "ECDSA P-224": ec.generate_private_key(ec.SECP224R1()).public_key(),
    "RSA of another size": rsa.generate_private_key(65537, 1024).public_key(),
}

EXPONENT: Final = "RSA with a public exponent of more than 2147483647"


def accepted_in_tuf(key: PublicKey) -> bool:
    try:
        algorithm_of(key, named="k")
    except KeyNotAccepted:
        return False
    return True


def counted_in_notary(key: PublicKey) -> bool:
    try:
        bare_key(key).read()
    except KeyNotCounted:
        return False
    return True


@pytest.mark.parametrize("kind", KEY_KINDS, ids=lambda kind: kind.name)
def test_the_table_is_what_the_code_does(kind: KeyKind) -> None:
    key = EXAMPLES[kind.name]
    assert [other.name for other in KEY_KINDS if other.fits(key)] == [kind.name]
    assert accepted_in_tuf(key) is kind.in_tuf
    assert counted_in_notary(key) is kind.in_notary
    assert (kind.made is not None) == kind.in_tuf
    assert kind.made is None or algorithm_of(generate(kind.made), named="") is kind.made


def test_the_reference_page_has_the_same_table() -> None:
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \| (yes|-) \| (yes|-) \|$", _PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    told = [(name, re.findall("`([^`]+)`", made), tuf == "yes", notary == "yes") for name, made, tuf, notary in rows]
    assert told == [(kind.name, [*filter(None, [kind.made])], kind.in_tuf, kind.in_notary) for kind in KEY_KINDS]
    assert {kind.made for kind in KEY_KINDS} - {None} == set(Algorithm)


@pytest.mark.parametrize("name", ["ECDSA P-224", "RSA of another size"])
def test_a_weak_key_is_shown_and_never_verifies(name: str) -> None:
    key = bare_key(EXAMPLES[name])
    assert key.decoded() == EXAMPLES[name]
    with pytest.raises(KeyNotCounted) as caught:
        key_fingerprint(key)
    assert caught.value.key == key.keyid


def test_a_signature_of_p_521_counts_and_one_of_p_224_does_not() -> None:
    for curve, counts in ((ec.SECP521R1(), True), (ec.SECP224R1(), False)):
        private = ec.generate_private_key(curve)
        width = (curve.key_size + 7) // 8
        r, s = decode_dss_signature(private.sign(b"payload", ec.ECDSA(SHA256())))
        signature = base64.b64encode(r.to_bytes(width) + s.to_bytes(width)).decode()
        key = bare_key(private.public_key())
        if counts:
            key.verify_signature(Signature(key.keyid, signature, {METHOD: "ecdsa"}), b"payload")
        with pytest.raises(UnverifiedSignatureError):
            key.verify_signature(
                Signature(key.keyid, signature, {METHOD: "ecdsa"}), b"another" if counts else b"payload"
            )


@pytest.mark.parametrize("private", [ec.generate_private_key(ec.SECP224R1()), rsa.generate_private_key(65537, 1024)])
def test_the_certificate_of_a_weak_key_is_shown_under_the_id_of_the_bare_key(
    private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
) -> None:
    hand = HandKey(private, "alice")
    key = NotaryKey.of(f"{hand.kind}-x509", base64.b64encode(hand.certificate).decode())
    assert key.canonical_keyid == bare_key(private.public_key()).keyid
    assert common_name(key) == "alice"
    with pytest.raises(KeyNotCounted):
        key.read()


def test_what_is_no_key_of_a_known_kind_is_not_shown_as_one() -> None:
    other = dsa.generate_private_key(2048).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for keytype, content in (("ecdsa", other), ("rsa", b"no key"), ("ecdsa-x509", b"no certificate")):
        key = NotaryKey.of(keytype, base64.b64encode(content).decode())
        with pytest.raises(KeyNotAccepted) as caught:
            key.decoded()
        assert not isinstance(caught.value, KeyNotCounted)
        assert caught.value.key == key.keyid


def test_a_curve_that_nobody_has_is_no_known_kind() -> None:
    with pytest.raises(KeyNotAccepted, match="secp256k1") as caught:
        algorithm_of(ec.generate_private_key(ec.SECP256K1()), named="k")
    assert not isinstance(caught.value, KeyNotCounted)


def test_tuf_refuses_them_as_before() -> None:
    pem = EXAMPLES["ECDSA P-521"].public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(KeyNotAccepted):
        check_accepted(SSlibKey("11" * 32, "ecdsa", "ecdsa-sha2-nistp521", {"public": pem}))
    with pytest.raises(KeyNotAccepted):
        check_accepted(SSlibKey("11" * 32, "ecdsa", "ecdsa-sha2-nistp384", {"public": pem}))


@pytest.mark.parametrize(
    ("key", "kind", "reason"),
    [
        (EXAMPLES["ECDSA P-521"], KeyNotCounted, "curve secp521r1 is neither P-256 nor P-384"),
        (EXAMPLES["ECDSA P-224"], KeyNotCounted, "curve secp224r1 is too weak"),
        (EXAMPLES["RSA of another size"], KeyNotCounted, "RSA with 1024 bits; 2048 to 8192 are accepted"),
        (rsa.RSAPublicNumbers(2**31 + 1, (1 << 1023) + 1).public_key(), KeyNotCounted, EXPONENT),
        (rsa.RSAPublicNumbers(2**31 + 1, (1 << 2047) + 1).public_key(), KeyNotAccepted, EXPONENT),
        (
            ec.generate_private_key(ec.SECP256K1()).public_key(),
            KeyNotAccepted,
            "curve secp256k1 is neither P-256 nor P-384",
        ),
        (dsa.generate_private_key(1024).public_key(), KeyNotAccepted, "neither ECDSA, Ed25519 nor RSA"),
    ],
)
def test_what_is_said_of_a_key_that_is_not_accepted(key: object, kind: type[KeyNotAccepted], reason: str) -> None:
    with pytest.raises(KeyNotAccepted) as caught:
        algorithm_of(key, named="the key")
    assert type(caught.value) is kind
    assert caught.value.details() == {"key": "the key", "reason": reason}


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        *((EXAMPLES[name], KeyNotCounted) for name in ("ECDSA P-224", "RSA of another size")),
        (ec.generate_private_key(ec.SECP256K1()).public_key(), KeyNotAccepted),
        (dsa.generate_private_key(1024).public_key(), KeyNotAccepted),
        ("no key", KeyNotAccepted),
    ],
)
def test_what_does_not_count_in_notary_is_named(key: object, kind: type[KeyNotAccepted]) -> None:
    with pytest.raises(KeyNotAccepted) as caught:
        check_counts_in_notary(key, named="the key")
    assert type(caught.value) is kind
    assert caught.value.key == "the key"


def test_a_further_kind_is_one_row_of_the_table() -> None:
    kind = algorithms._own_kind(Algorithm.ED25519, "a name")
    assert (kind.name, kind.made, kind.in_tuf, kind.in_notary) == ("a name", Algorithm.ED25519, True, True)
    assert [name for name, key in EXAMPLES.items() if kind.fits(key)] == ["Ed25519"]


@pytest.mark.parametrize(
    ("keytype", "public", "reason"),
    [
        ("a" * 41, "AAAA", f"key type '{'a' * 40}' is not supported"),
        ("ecdsa", "A" * 32_768, "its public part is no key that can be read"),
        ("ecdsa", "A" * 32_769, "its public part is longer than 32768 characters"),
        (
            "ecdsa",
            bare_key(EXAMPLES["ECDSA P-224"]).keyval["public"] + "*",
            "its public part is no key that can be read",
        ),
        ("rsa", bare_key(EXAMPLES["ECDSA P-224"]).keyval["public"], "it says rsa but is ecdsa"),
    ],
)
def test_why_a_key_cannot_be_shown(keytype: str, public: str, reason: str) -> None:
    key = NotaryKey.of(keytype, public)
    for decode in (key.decoded, key.read):
        with pytest.raises(KeyNotAccepted) as caught:
            decode()
        assert caught.value.details() == {"key": key.keyid, "reason": reason}


def test_the_id_of_a_bare_key_needs_no_decoding_and_that_of_a_certificate_does() -> None:
    bare, certified = NotaryKey.of("ecdsa", "AAAA"), NotaryKey.of("ecdsa-x509", "AAAA")
    assert bare.canonical_keyid == bare.keyid
    with pytest.raises(KeyNotAccepted) as caught:
        _ = certified.canonical_keyid
    assert caught.value.key == certified.keyid


def test_the_id_that_is_shown_is_that_of_the_bare_key_where_it_can_be_read() -> None:
    private = generate(Algorithm.ECDSA_P256)
    certified, bare = (
        root_certificate(private, gun="example.com/app", at=datetime(2026, 1, 2, tzinfo=UTC)),
        bare_key(private.public_key()),
    )
    assert bare_keyid(certified) == bare.keyid != certified.keyid
    assert bare_keyid(bare) == bare.keyid
    assert bare_keyid(tuf_key(private)) == tuf_key(private).keyid
    unreadable = NotaryKey.of("ecdsa-x509", "AAAA")
    assert bare_keyid(unreadable) == unreadable.keyid
