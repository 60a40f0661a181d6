"""Public halves of keys on tokens that SoftHSM2 does not have: bare points, other kinds, half of the attributes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from keys.algorithms import Algorithm, generate
from keys.errors import KeyNotOnToken, TokenKeyUnfit
from keys.pkcs11.public_objects import ED25519, EDWARDS25519, P256, P384, certified_public_key, ec_public_key
from keys.pkcs11.token_facts import TokenFacts
from keys.pkcs11.token_objects import public_half

pkcs11 = pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed")
FACTS = TokenFacts(label="T", serial="01", manufacturer="", model="", flags=0)


class FakeObject:
    """An object with these attributes and no others."""

    def __init__(self, **attributes: object) -> None:
        self._attributes = {pkcs11.Attribute[name]: value for name, value in attributes.items()}

    def __getitem__(self, attribute: object) -> Any:
        if attribute not in self._attributes:
            raise pkcs11.AttributeTypeInvalid
        return self._attributes[attribute]


class FakeSession:
    """A session on a token with these objects."""

    def __init__(self, *objects: FakeObject) -> None:
        self._objects = objects

    def get_objects(self, wanted: dict[Any, object]) -> list[FakeObject]:
        return [each for each in self._objects if all(each[name] == value for name, value in wanted.items())]


def half(key: FakeObject, *others: FakeObject) -> object:
    return public_half(FakeSession(*others), key, FACTS)  # type: ignore[arg-type]


@pytest.mark.parametrize(("algorithm", "parameters"), [(Algorithm.ECDSA_P256, P256), (Algorithm.ECDSA_P384, P384)])
def test_points_are_read_wrapped_as_the_standard_says_and_bare(algorithm: Algorithm, parameters: bytes) -> None:
    public = generate(algorithm).public_key()
    assert isinstance(public, EllipticCurvePublicKey)
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert ec_public_key(parameters, point) == ec_public_key(parameters, bytes((4, len(point))) + point) == public


@pytest.mark.parametrize("parameters", [ED25519, EDWARDS25519])
def test_points_of_ed25519_also_one_that_begins_like_a_wrapper(parameters: bytes) -> None:
    public = generate(Algorithm.ED25519).public_key()
    assert isinstance(public, Ed25519PublicKey)
    assert ec_public_key(parameters, b"\x04\x20" + public.public_bytes_raw()) == public
    assert ec_public_key(parameters, public.public_bytes_raw()) == public
    odd = ec_public_key(parameters, b"\x04\x1e" + bytes(30))
    assert isinstance(odd, Ed25519PublicKey)
    assert odd.public_bytes_raw()[:2] == b"\x04\x1e"


def test_other_curves_and_damaged_points() -> None:
    assert ec_public_key(b"\x06\x05\x2b\x81\x04\x00\x23", b"\x04" * 133) is None
    with pytest.raises(ValueError, match="Invalid EC key"):
        ec_public_key(P256, b"\x04\x41" + b"\x04" * 65)
    raw = generate(Algorithm.ED25519).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    for wrapper in (b"\x05\x20", b"\x04\x1f", b"\x04\x21"):
        with pytest.raises(ValueError, match="32 bytes"):
            ec_public_key(ED25519, wrapper + raw)


def test_a_key_of_another_kind_is_refused() -> None:
    key = FakeObject(KEY_TYPE=pkcs11.KeyType.DSA, LABEL="old", ID=b"\x01")
    with pytest.raises(TokenKeyUnfit, match="key with object old and id 01 is neither ECDSA, Ed25519 nor RSA"):
        half(key)


def test_an_rsa_key_that_does_not_show_its_numbers_has_a_public_key_beside_it() -> None:
    public = generate(Algorithm.RSA).public_key()
    assert isinstance(public, RSAPublicKey)
    modulus = public.public_numbers().n.to_bytes(384)
    key = FakeObject(KEY_TYPE=pkcs11.KeyType.RSA, LABEL="a", ID=b"\x01")
    other = FakeObject(
        CLASS=pkcs11.ObjectClass.PUBLIC_KEY,
        KEY_TYPE=pkcs11.KeyType.RSA,
        ID=b"\x01",
        MODULUS=modulus,
        PUBLIC_EXPONENT=b"\x01\x00\x01",
    )
    assert half(key, other) == public


def test_a_key_without_id_is_found_by_its_label_and_one_without_both_not_at_all() -> None:
    public = generate().public_key()
    assert isinstance(public, EllipticCurvePublicKey)
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    beside = FakeObject(
        CLASS=pkcs11.ObjectClass.PUBLIC_KEY, KEY_TYPE=pkcs11.KeyType.EC, LABEL="a", EC_PARAMS=P256, EC_POINT=point
    )
    assert half(FakeObject(KEY_TYPE=pkcs11.KeyType.EC, LABEL="a"), beside) == public
    with pytest.raises(KeyNotOnToken, match="no public key or certificate beside key on token T"):
        half(FakeObject(KEY_TYPE=pkcs11.KeyType.EC), beside)


def test_a_certificate_of_another_kind_of_key_is_passed_over() -> None:
    private = dsa.generate_private_key(2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a")])
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder(name, name, private.public_key(), 1, begin, begin + timedelta(days=1))
        .sign(private, SHA256())
        .public_bytes(Encoding.DER)
    )
    assert certified_public_key(certificate) is None
    key = FakeObject(KEY_TYPE=pkcs11.KeyType.EC, ID=b"\x01")
    beside = FakeObject(CLASS=pkcs11.ObjectClass.CERTIFICATE, ID=b"\x01", VALUE=certificate)
    with pytest.raises(KeyNotOnToken):
        half(key, beside)
