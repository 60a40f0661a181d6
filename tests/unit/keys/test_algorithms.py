"""What is accepted is decided by the key itself, not by what it says of itself."""

from __future__ import annotations

import re

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.signer import SSlibKey

from keys import algorithms
from keys.algorithms import (
    DERIVED_BYTES,
    Algorithm,
    accepted_fingerprints,
    algorithm_of,
    algorithm_of_tuf_key,
    check_accepted,
    derive_p256,
    generate,
    is_private_key,
    is_public_key,
    key_fingerprint,
    matching_keyids,
    nameless_refusal,
    public_fingerprint,
    public_key_of,
)
from keys.errors import KeyNotAccepted
from keys.material import tuf_key
from keys.notary import bare_key


def relabelled(
    key: SSlibKey, *, keytype: str | None = None, scheme: str | None = None, public: str | None = None
) -> SSlibKey:
    return SSlibKey(
        key.keyid,
        keytype or key.keytype,
        scheme or key.scheme,
        {"public": key.keyval["public"] if public is None else public},
    )


@pytest.fixture(scope="module")
def keys() -> dict[Algorithm, SSlibKey]:
    return {a: tuf_key(generate(a)) for a in Algorithm}


def test_accepts_what_it_makes(keys: dict[Algorithm, SSlibKey]) -> None:
    for algorithm, key in keys.items():
        check_accepted(key)
        assert (key.keytype, key.scheme) == {
            Algorithm.ECDSA_P256: ("ecdsa", "ecdsa-sha2-nistp256"),
            Algorithm.ECDSA_P384: ("ecdsa", "ecdsa-sha2-nistp384"),
            Algorithm.ED25519: ("ed25519", "ed25519"),
            Algorithm.RSA: ("rsa", "rsassa-pss-sha256"),
        }[algorithm]


def test_accepts_the_old_names_of_ecdsa_key_types(keys: dict[Algorithm, SSlibKey]) -> None:
    for algorithm, name in ((Algorithm.ECDSA_P256, "nistp256"), (Algorithm.ECDSA_P384, "nistp384")):
        old = relabelled(keys[algorithm], keytype=f"ecdsa-sha2-{name}")
        check_accepted(old)
        assert old.keytype != keys[algorithm].keytype


def test_refuses_a_key_of_another_curve_or_kind_than_it_says(keys: dict[Algorithm, SSlibKey]) -> None:
    p256, p384, rsa_key = keys[Algorithm.ECDSA_P256], keys[Algorithm.ECDSA_P384], keys[Algorithm.RSA]
    for key, said in (
        (relabelled(p384, scheme="ecdsa-sha2-nistp256"), "it says ecdsa-p256 but is ecdsa-p384"),
        (relabelled(p256, scheme="ecdsa-sha2-nistp384"), "it says ecdsa-p384 but is ecdsa-p256"),
        (relabelled(rsa_key, public=p256.keyval["public"]), "it says rsa but is ecdsa-p256"),
        (relabelled(p256, public=rsa_key.keyval["public"]), "it says ecdsa-p256 but is rsa"),
        (relabelled(p256, keytype="ecdsa-sha2-nistp384"), "is not supported"),
    ):
        with pytest.raises(KeyNotAccepted, match=said) as caught:
            check_accepted(key)
        assert caught.value.key == key.keyid


@pytest.mark.parametrize(
    ("keytype", "scheme"),
    [
        ("rsa", "rsa-pkcs1v15-sha256"),
        ("rsa", "rsassa-pss-sha512"),
        ("ecdsa", "ecdsa-sha2-nistp521"),
        ("ed25519", "ed25519ph"),
        ("ml-dsa", "ml-dsa-65/1"),
        ("", ""),
    ],
)
def test_refuses_other_types_and_schemes(keys: dict[Algorithm, SSlibKey], keytype: str, scheme: str) -> None:
    key = keys[Algorithm.RSA]
    reason = f"key type {keytype!r} with scheme {scheme!r} is not supported"
    with pytest.raises(KeyNotAccepted, match=re.escape(reason)):
        check_accepted(SSlibKey(key.keyid, keytype, scheme, key.keyval))


def test_foreign_names_are_shown_in_part_and_in_ascii(keys: dict[Algorithm, SSlibKey]) -> None:
    key = keys[Algorithm.RSA]
    with pytest.raises(KeyNotAccepted) as caught:
        check_accepted(SSlibKey(key.keyid, "\x1b" + "a" * 39 + "b", "é", key.keyval))
    shown = r"'\x1b" + "a" * 39 + "'"
    assert caught.value.reason == rf"key type {shown} with scheme '\xe9' is not supported"


def test_refuses_small_and_huge_rsa() -> None:
    for bits in (1024, 2047, 8193, 8201):
        with pytest.raises(KeyNotAccepted, match=f"{bits} bits; 2048 to 8192 are accepted"):
            check_accepted(tuf_like_rsa(rsa_of(bits)))
    for bits in (2048, 8192):
        check_accepted(tuf_like_rsa(rsa_of(bits)))


def rsa_of(bits: int) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(65537, (1 << (bits - 1)) + 1).public_key()


def rsa_with_exponent(bits: int) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers((1 << bits) - 1, (1 << 2100) + 1).public_key()


def test_accepts_rsa_exponents_that_go_accepts() -> None:
    assert algorithm_of(rsa_with_exponent(31), named="a key") is Algorithm.RSA
    check_accepted(tuf_like_rsa(rsa_with_exponent(31)))


def test_a_key_that_is_too_small_is_not_said_to_have_too_large_an_exponent() -> None:
    small = rsa.RSAPublicNumbers(2**31 - 1, (1 << 1023) + 1).public_key()
    with pytest.raises(KeyNotAccepted, match="RSA with 1024 bits"):
        algorithm_of(small, named="a key")


@pytest.mark.parametrize("bits", [32, 2040])
def test_refuses_rsa_exponents_that_make_a_signature_costly(bits: int) -> None:
    """OpenSSL takes exponents as long as the key up to 3072 bits: five milliseconds for each signature, not 0.06."""
    with pytest.raises(KeyNotAccepted, match="public exponent of more than 2147483647"):
        check_accepted(tuf_like_rsa(rsa_with_exponent(bits)))
    with pytest.raises(KeyNotAccepted, match=r"a key.*public exponent"):
        algorithm_of(rsa_with_exponent(bits), named="a key")


def tuf_like_rsa(public: rsa.RSAPublicKey) -> SSlibKey:
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return SSlibKey("11" * 32, "rsa", "rsassa-pss-sha256", {"public": pem})


def test_a_key_that_has_no_id_yet_has_no_name() -> None:
    refusal = nameless_refusal("it is odd")
    assert (refusal.key, refusal.reason) == ("", "it is odd")


@pytest.mark.parametrize("text", ["", "  ", "ab" * 31, "ab" * 31 + " a", "zz" * 32, "٣" * 64, "ab" * 33])
def test_refuses_ed25519_keys_that_are_not_64_digits(keys: dict[Algorithm, SSlibKey], text: str) -> None:
    with pytest.raises(KeyNotAccepted, match="64 hexadecimal digits"):
        check_accepted(relabelled(keys[Algorithm.ED25519], public=text))


@settings(deadline=None)
@given(st.text(max_size=200))
def test_foreign_text_as_a_public_key_is_refused_and_nothing_else(text: str) -> None:
    with pytest.raises(KeyNotAccepted):
        check_accepted(SSlibKey("ab" * 32, "ecdsa", "ecdsa-sha2-nistp256", {"public": text}))


def test_refuses_a_public_part_too_long_to_be_a_key(keys: dict[Algorithm, SSlibKey]) -> None:
    key = keys[Algorithm.ECDSA_P256]
    public = key.keyval["public"]
    check_accepted(relabelled(key, public=public.ljust(4096)))
    with pytest.raises(KeyNotAccepted, match="longer than 4096 characters"):
        check_accepted(relabelled(key, public=public.ljust(4097)))


def test_refuses_a_public_part_that_cannot_be_read() -> None:
    with pytest.raises(KeyNotAccepted) as caught:
        check_accepted(SSlibKey("ab" * 32, "ecdsa", "ecdsa-sha2-nistp256", {"public": "x"}))
    assert caught.value.details() == {"key": "ab" * 32, "reason": "its public part is no key that can be read"}


def test_refuses_a_public_part_that_is_no_text(keys: dict[Algorithm, SSlibKey]) -> None:
    key = relabelled(keys[Algorithm.ED25519])
    key.keyval["public"] = 5
    with pytest.raises(KeyNotAccepted, match="it has no public part") as caught:
        check_accepted(key)
    assert caught.value.key == key.keyid


def test_one_key_written_in_two_ways_has_one_mark(keys: dict[Algorithm, SSlibKey]) -> None:
    p256, ed = keys[Algorithm.ECDSA_P256], keys[Algorithm.ED25519]
    assert key_fingerprint(p256) == key_fingerprint(
        relabelled(p256, public=p256.keyval["public"].replace("\n", "\r\n"))
    )
    assert key_fingerprint(p256) == key_fingerprint(relabelled(p256, keytype="ecdsa-sha2-nistp256"))
    assert key_fingerprint(ed) == key_fingerprint(relabelled(ed, public=ed.keyval["public"].upper()))
    assert len({key_fingerprint(k) for k in keys.values()}) == len(keys)


def test_other_kinds_of_keys_are_no_algorithm_of_ours() -> None:
    for key, reason in (
        (ec.generate_private_key(ec.SECP521R1()), "curve secp521r1 is neither P-256 nor P-384"),
        (dsa.generate_private_key(1024), "neither ECDSA, Ed25519 nor RSA"),
        ("text", "neither ECDSA, Ed25519 nor RSA"),
    ):
        with pytest.raises(KeyNotAccepted) as caught:
            algorithm_of(key, named="the key")
        assert (caught.value.key, caught.value.reason) == ("the key", reason)
    dsa_pem = dsa.generate_private_key(1024).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(KeyNotAccepted, match="neither ECDSA, Ed25519 nor RSA"):
        check_accepted(SSlibKey("11" * 32, "rsa", "rsassa-pss-sha256", {"public": dsa_pem.decode()}))
    assert algorithm_of(ed25519.Ed25519PrivateKey.generate(), named="") is Algorithm.ED25519


def test_the_default_key_is_the_one_that_every_client_reads() -> None:
    assert algorithm_of(generate(), named="") is Algorithm.ECDSA_P256


def test_another_curve_is_one_row_of_the_table() -> None:
    row = algorithms._ecdsa(ec.SECP521R1, "ecdsa-sha2-nistp521")
    private = row.generate()
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert private.curve.name == "secp521r1"
    public = private.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert row.read(pem) == public
    assert row.fits(public) is True
    for other in (generate(Algorithm.ECDSA_P384), generate(Algorithm.ED25519)):
        assert row.fits(other.public_key()) is False
    assert row.types_and_schemes == (
        ("ecdsa", "ecdsa-sha2-nistp521"),
        ("ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"),
    )


ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256 (SEC 2, 2.4.2)."""


@pytest.mark.parametrize(
    ("secret", "scalar"),
    [(0, 1), (1, 2), (ORDER - 2, ORDER - 1), (ORDER - 1, 1), (1 << 383, (1 << 383) % (ORDER - 1) + 1)],
)
def test_a_secret_always_gives_the_same_key_of_the_curve(secret: int, scalar: int) -> None:
    private = derive_p256(secret.to_bytes(DERIVED_BYTES, "big"))
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert private.private_numbers().private_value == scalar
    assert algorithm_of(private, named="") is Algorithm.ECDSA_P256


def test_a_secret_that_is_too_short_gives_no_key() -> None:
    assert DERIVED_BYTES == 48
    with pytest.raises(ValueError, match="48 bytes"):
        derive_p256(bytes(47))


def test_a_key_is_private_or_public() -> None:
    for algorithm in Algorithm:
        private = generate(algorithm)
        assert (is_private_key(private), is_public_key(private)) == (True, False)
        public = private.public_key()
        assert (is_private_key(public), is_public_key(public)) == (False, True)
    assert not is_private_key(dsa.generate_private_key(1024))
    assert not is_public_key("text")


def test_keys_are_compared_in_either_encoding(keys: dict[Algorithm, SSlibKey]) -> None:
    for algorithm, key in keys.items():
        public = public_key_of(key)
        notary = bare_key(public)
        assert public_key_of(notary) == public
        assert key_fingerprint(notary) == key_fingerprint(key) == public_fingerprint(public)
        assert algorithm_of_tuf_key(key) is algorithm


def test_keys_of_kinds_that_are_not_used_are_passed_over(keys: dict[Algorithm, SSlibKey]) -> None:
    foreign = relabelled(keys[Algorithm.RSA], scheme="rsassa-pss-sha512")
    used = {key_fingerprint(key) for key in keys.values()}
    assert accepted_fingerprints([foreign, *keys.values()]) == used
    by_id = {"f": foreign} | {str(algorithm): key for algorithm, key in keys.items()}
    assert matching_keyids(by_id, used) == set(Algorithm)
    assert matching_keyids(by_id, [key_fingerprint(keys[Algorithm.ED25519]), "00"]) == {"ed25519"}
    assert matching_keyids(by_id, []) == frozenset()
