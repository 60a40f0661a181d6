"""Public halves of keys on tokens that SoftHSM2 does not have: bare points, other kinds, half of the attributes."""

from __future__ import annotations

from collections.abc import Callable
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
from keys.errors import KeyAmbiguous, KeyExists, KeyNotOnToken, KeysError, TokenKeyUnfit
from keys.pkcs11.pkcs11_uri import Pkcs11Uri
from keys.pkcs11.public_objects import ED25519, EDWARDS25519, P256, P384, certified_public_key, ec_public_key
from keys.pkcs11.token_facts import TokenFacts
from keys.pkcs11.token_objects import (
    exact_uri,
    fits_public,
    make_key,
    private_object,
    public_half,
    wants_pin_each_time,
)

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

    def has(self, wanted: dict[Any, object]) -> bool:
        return wanted.items() <= self._attributes.items()


class FakeSession:
    """A session on a token with these objects."""

    def __init__(self, *objects: FakeObject) -> None:
        self._objects = objects

    def get_objects(self, wanted: dict[Any, object]) -> list[FakeObject]:
        return [each for each in self._objects if each.has(wanted)]


HERE = FACTS.described
SIGNING = {"CLASS": pkcs11.ObjectClass.PRIVATE_KEY, "SIGN": True}


def refused(kind: type[KeysError], call: Callable[[], object], **fields: object) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    assert caught.value.details() == {**fields, **({"named": False} if kind is KeyNotOnToken else {})}


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
    reason = "key with object old and id 01 is neither ECDSA, Ed25519 nor RSA"
    refused(TokenKeyUnfit, lambda: half(key), token=HERE, reason=reason)


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
    shown = {"MODULUS": modulus, "PUBLIC_EXPONENT": b"\x01\x00\x01"}
    assert half(FakeObject(KEY_TYPE=pkcs11.KeyType.RSA, **shown)) == public, "one that shows them needs none"
    for name, value in shown.items():
        half_shown = FakeObject(KEY_TYPE=pkcs11.KeyType.RSA, ID=b"\x01", **{name: value})
        assert half(half_shown, other) == public


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


def certified(private: Any) -> bytes:
    """A certificate that the key signs itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a")])
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, private.public_key(), 1, begin, begin + timedelta(days=1))
    return builder.sign(private, SHA256()).public_bytes(Encoding.DER)


def test_a_certificate_is_that_of_a_key_by_its_id_or_label_alone() -> None:
    private = generate()
    there = FakeObject(CLASS=pkcs11.ObjectClass.CERTIFICATE, ID=b"\x01", VALUE=certified(private))
    assert half(FakeObject(KEY_TYPE=pkcs11.KeyType.EC, ID=b"\x01"), there) == private.public_key()
    missing = "public key or certificate beside key"
    refused(KeyNotOnToken, lambda: half(FakeObject(KEY_TYPE=pkcs11.KeyType.EC), there), key=missing, token=HERE)


def test_a_certificate_of_another_kind_of_key_is_passed_over() -> None:
    certificate = certified(dsa.generate_private_key(2048))
    assert certified_public_key(certificate) is None
    key = FakeObject(KEY_TYPE=pkcs11.KeyType.EC, ID=b"\x01")
    beside = FakeObject(CLASS=pkcs11.ObjectClass.CERTIFICATE, ID=b"\x01", VALUE=certificate)
    missing = "public key or certificate beside key with id 01"
    refused(KeyNotOnToken, lambda: half(key, beside), key=missing, token=HERE)
    damaged = FakeObject(CLASS=pkcs11.ObjectClass.CERTIFICATE, ID=b"\x01", VALUE=b"\x30\x03\x02\x01\x01")
    reason = "the public half of key with id 01 cannot be read"
    refused(TokenKeyUnfit, lambda: half(key, beside, damaged), token=HERE, reason=reason)


def test_a_public_key_of_another_kind_is_passed_over() -> None:
    public = generate().public_key()
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    same = {"CLASS": pkcs11.ObjectClass.PUBLIC_KEY, "KEY_TYPE": pkcs11.KeyType.EC, "ID": b"\x01"}
    other = FakeObject(**same, EC_PARAMS=b"\x06\x05\x2b\x81\x04\x00\x23", EC_POINT=b"\x04" * 133)
    key = FakeObject(KEY_TYPE=pkcs11.KeyType.EC, ID=b"\x01", LABEL="a")
    assert half(key, other, FakeObject(**same, EC_PARAMS=P256, EC_POINT=point)) == public


# --- which private key is meant


def test_one_private_key_that_may_sign_is_wanted() -> None:
    one, two = FakeObject(**SIGNING, ID=b"\x01", LABEL="a"), FakeObject(**SIGNING, ID=b"\x02", LABEL="a")
    silent = FakeObject(CLASS=pkcs11.ObjectClass.PRIVATE_KEY, ID=b"\x03", SIGN=False)
    public = FakeObject(CLASS=pkcs11.ObjectClass.PUBLIC_KEY, ID=b"\x04", LABEL="b")

    def found(**wanted: Any) -> object:
        session: Any = FakeSession(two, one, silent, public)
        return private_object(session, Pkcs11Uri(module="", **wanted), FACTS)

    assert (found(id=b"\x01"), found(id=b"\x02", object="a")) == (one, two)
    refused(KeyNotOnToken, lambda: found(object="b"), key="key with object b", token=HERE)
    both = ("key with object a and id 01", "key with object a and id 02")
    refused(KeyAmbiguous, lambda: found(object="a"), key=f"key with object a on {HERE}", candidates=both)
    reason = "key with id 03 may not sign, says the token"
    refused(TokenKeyUnfit, lambda: found(id=b"\x03"), token=HERE, reason=reason)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_key_is_for_public_keys_of_its_own_kind(algorithm: Algorithm) -> None:
    kinds = {Algorithm.RSA: pkcs11.KeyType.RSA, Algorithm.ED25519: pkcs11.KeyType.EC_EDWARDS}
    fitting = kinds.get(algorithm, pkcs11.KeyType.EC)
    public = generate(algorithm).public_key()
    for kind in (pkcs11.KeyType.RSA, pkcs11.KeyType.EC, pkcs11.KeyType.EC_EDWARDS, pkcs11.KeyType.DSA):
        key: Any = FakeObject(KEY_TYPE=kind)
        assert fits_public(key, public) is (kind == fitting)
    assert not fits_public(FakeObject(), public)  # type: ignore[arg-type]


def test_how_a_key_is_found_again() -> None:
    asked = Pkcs11Uri(module="/m", token="?", manufacturer="A", model="B", object="?", pin_file="/pin")
    for attributes, named in (
        ({"LABEL": "a", "ID": b"\x01"}, {"object": "a", "id": b"\x01"}),
        ({"LABEL": "", "ID": b""}, {"object": None, "id": None}),
        ({}, {"object": None, "id": None}),
    ):
        key: Any = FakeObject(**attributes)
        again: Any = {"module": "/m", "token": "T", "serial": "01", "pin_file": "/pin", **named}
        assert exact_uri(key, asked, FACTS) == Pkcs11Uri(**again)
    pins: list[Any] = [FakeObject(), FakeObject(ALWAYS_AUTHENTICATE=False), FakeObject(ALWAYS_AUTHENTICATE=True)]
    assert [wants_pin_each_time(key) for key in pins] == [False, False, True]


# --- what is made


class MakingSession(FakeSession):
    """A session that notes what is to be made."""

    def __init__(self, *objects: FakeObject) -> None:
        super().__init__(*objects)
        self.made: list[tuple[object, ...]] = []

    def create_domain_parameters(self, *how: object, **more: object) -> MakingSession:
        self.made.append((*how, more))
        return self

    def generate_keypair(self, *how: object, **wanted: object) -> tuple[str, str]:
        self.made.append((*how, wanted))
        return "public", "private"


def made(session: FakeSession, algorithm: Algorithm = Algorithm.ECDSA_P256, keyid: bytes = b"\x01") -> object:
    raw: Any = session
    return make_key(raw, algorithm, Pkcs11Uri(module="", object="a", id=keyid), FACTS)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_what_a_key_may_do_is_not_left_to_what_a_token_does_by_itself(algorithm: Algorithm) -> None:
    session = MakingSession()
    assert made(session, algorithm) == "private"
    told = {
        "id": b"\x01",
        "label": "a",
        "store": True,
        "capabilities": pkcs11.MechanismFlag.SIGN | pkcs11.MechanismFlag.VERIFY,
        "private_template": {pkcs11.Attribute.SENSITIVE: True, pkcs11.Attribute.EXTRACTABLE: False},
    }
    if algorithm is Algorithm.RSA:
        assert session.made == [(pkcs11.KeyType.RSA, 3072, told)]
    else:
        kind = pkcs11.KeyType.EC_EDWARDS if algorithm is Algorithm.ED25519 else pkcs11.KeyType.EC
        curves = {Algorithm.ECDSA_P256: P256, Algorithm.ECDSA_P384: P384, Algorithm.ED25519: EDWARDS25519}
        parameters = {pkcs11.Attribute.EC_PARAMS: curves[algorithm]}
        assert session.made == [(kind, parameters, {"local": True}), (told,)]


@pytest.mark.parametrize("kind", ["PRIVATE_KEY", "PUBLIC_KEY"])
@pytest.mark.parametrize(("named", "said"), [({"LABEL": "a"}, "object a"), ({"ID": b"\x01"}, "id 01")])
def test_no_second_key_is_made_of_a_name_or_an_id(kind: str, named: dict[str, object], said: str) -> None:
    there = FakeObject(CLASS=pkcs11.ObjectClass[kind], **{"LABEL": "b", "ID": b"\x02", **named})
    session = MakingSession(there)
    refused(KeyExists, lambda: made(session), key=f"a key with {said}", place=HERE)
    assert session.made == []
    other = FakeObject(CLASS=pkcs11.ObjectClass.CERTIFICATE, LABEL="a", ID=b"\x01")
    assert made(MakingSession(other)) == "private"
