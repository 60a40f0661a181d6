"""What is accepted is decided by the key itself, not by what it says of itself."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.signer import SSlibKey

from keys.algorithms import Algorithm, algorithm_of, check_accepted, generate, key_fingerprint
from keys.errors import KeyNotAccepted
from keys.material import tuf_key


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
    for key in (
        relabelled(p384, scheme="ecdsa-sha2-nistp256"),
        relabelled(p256, scheme="ecdsa-sha2-nistp384"),
        relabelled(rsa_key, public=p256.keyval["public"]),
        relabelled(p256, public=rsa_key.keyval["public"]),
        relabelled(p256, keytype="ecdsa-sha2-nistp384"),
    ):
        with pytest.raises(KeyNotAccepted) as caught:
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
    with pytest.raises(KeyNotAccepted, match="not supported"):
        check_accepted(SSlibKey(key.keyid, keytype, scheme, key.keyval))


def test_refuses_small_and_huge_rsa() -> None:
    for bits in (1024, 2047):
        with pytest.raises(KeyNotAccepted, match=f"{bits} bits"):
            check_accepted(tuf_like_rsa(rsa.generate_private_key(65537, bits).public_key()))
    check_accepted(tuf_like_rsa(rsa.generate_private_key(65537, 2048).public_key()))
    huge = rsa.RSAPublicNumbers(65537, (1 << 8200) + 1).public_key()
    with pytest.raises(KeyNotAccepted):
        check_accepted(tuf_like_rsa(huge))


def rsa_with_exponent(bits: int) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers((1 << bits) - 1, (1 << 2100) + 1).public_key()


def test_accepts_rsa_exponents_that_go_accepts() -> None:
    assert algorithm_of(rsa_with_exponent(31), named="a key") is Algorithm.RSA
    check_accepted(tuf_like_rsa(rsa_with_exponent(31)))


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


@pytest.mark.parametrize("text", ["", "  ", "ab" * 31, "ab" * 31 + " a", "zz" * 32, "٣" * 64, "ab" * 33])
def test_refuses_ed25519_keys_that_are_not_64_digits(keys: dict[Algorithm, SSlibKey], text: str) -> None:
    with pytest.raises(KeyNotAccepted):
        check_accepted(relabelled(keys[Algorithm.ED25519], public=text))


@settings(deadline=None)
@given(st.text(max_size=200))
def test_foreign_text_as_a_public_key_is_refused_and_nothing_else(text: str) -> None:
    with pytest.raises(KeyNotAccepted):
        check_accepted(SSlibKey("ab" * 32, "ecdsa", "ecdsa-sha2-nistp256", {"public": text}))


def test_refuses_a_public_part_too_long_to_be_a_key(keys: dict[Algorithm, SSlibKey]) -> None:
    key = keys[Algorithm.ECDSA_P256]
    with pytest.raises(KeyNotAccepted, match="longer"):
        check_accepted(relabelled(key, public=key.keyval["public"] + " " * 5000))


def test_refuses_a_public_part_that_is_no_text(keys: dict[Algorithm, SSlibKey]) -> None:
    key = relabelled(keys[Algorithm.ED25519])
    key.keyval["public"] = 5
    with pytest.raises(KeyNotAccepted):
        check_accepted(key)


def test_one_key_written_in_two_ways_has_one_mark(keys: dict[Algorithm, SSlibKey]) -> None:
    p256, ed = keys[Algorithm.ECDSA_P256], keys[Algorithm.ED25519]
    assert key_fingerprint(p256) == key_fingerprint(
        relabelled(p256, public=p256.keyval["public"].replace("\n", "\r\n"))
    )
    assert key_fingerprint(p256) == key_fingerprint(relabelled(p256, keytype="ecdsa-sha2-nistp256"))
    assert key_fingerprint(ed) == key_fingerprint(relabelled(ed, public=ed.keyval["public"].upper()))
    assert len({key_fingerprint(k) for k in keys.values()}) == len(keys)


def test_other_kinds_of_keys_are_no_algorithm_of_ours() -> None:
    for key in (ec.generate_private_key(ec.SECP521R1()), dsa.generate_private_key(2048), "text"):
        with pytest.raises(KeyNotAccepted) as caught:
            algorithm_of(key, named="the key")
        assert caught.value.key == "the key"
    dsa_pem = dsa.generate_private_key(2048).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(KeyNotAccepted):
        check_accepted(SSlibKey("11" * 32, "rsa", "rsassa-pss-sha256", {"public": dsa_pem.decode()}))
    assert algorithm_of(ed25519.Ed25519PrivateKey.generate(), named="") is Algorithm.ED25519


def test_the_default_key_is_the_one_that_every_client_reads() -> None:
    assert algorithm_of(generate(), named="") is Algorithm.ECDSA_P256
