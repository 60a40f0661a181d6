"""EC keys whose number has not the length of their curve: PuTTY, old OpenSSL and old Go have written them."""

from __future__ import annotations

import pytest
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from keys.errors import KeyFileMalformed, KeyNotAccepted
from keys.pem import PemBlock, write_pem
from keys.pkcs8 import PrivateKeyInfo, read_private_key
from keys.private_blocks import read_private_pem

P256 = bytes.fromhex("06082a8648ce3d030107")
P521 = bytes.fromhex("06052b81040023")
UNKNOWN = bytes.fromhex("06032a0304")
ECDSA = bytes.fromhex("06072a8648ce3d0201")
RSA = bytes.fromhex("06092a864886f70d010101")
SMALL = 0x1234
"""A number that begins with thirty zeros."""
KEY = ec.derive_private_key(SMALL, ec.SECP256R1())
POINT = KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
COMPRESSED = KEY.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
NUMBERS = {"without its zeros": b"\x12\x34", "with one": b"\0\x12\x34", "with one too many": SMALL.to_bytes(33)}


def tlv(tag: int, content: bytes) -> bytes:
    length = len(content)
    return bytes([tag]) + (bytes([length]) if length < 128 else b"\x81" + bytes([length])) + content


def sec1(number: bytes, *, curve: bytes | None = P256, point: bytes | None = POINT, version: int = 1) -> bytes:
    parameters = tlv(0xA0, curve) if curve else b""
    public = tlv(0xA1, tlv(3, b"\0" + point)) if point else b""
    return tlv(0x30, tlv(2, bytes([version])) + tlv(4, number) + parameters + public)


def pkcs8(key: bytes, *, kind: bytes = ECDSA, curve: bytes = P256, version: int = 0) -> bytes:
    return tlv(0x30, tlv(2, bytes([version])) + tlv(0x30, kind + curve) + tlv(4, key))


@pytest.mark.parametrize("number", NUMBERS.values(), ids=list(NUMBERS))
@pytest.mark.parametrize("point", [POINT, COMPRESSED, None], ids=["point", "compressed", "none"])
def test_the_number_is_what_counts(number: bytes, point: bytes | None) -> None:
    forms = [
        sec1(number, point=point),
        pkcs8(sec1(number, point=point)),
        pkcs8(sec1(number, curve=None, point=point)),
        pkcs8(sec1(number, curve=None, point=point), version=1),  # as Notary writes it
    ]
    for der in forms:
        key = read_private_key(der, place="p")
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert key.private_numbers() == KEY.private_numbers()


OTHER = ec.derive_private_key(7, ec.SECP256R1()).public_key()
NO_KEYS = {
    "no curve": sec1(b"\x12\x34", curve=None),
    "another version": sec1(b"\x12\x34", version=2),
    "the point of another": sec1(b"\x12\x34", point=OTHER.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)),
    "no point of the curve": sec1(b"\x12\x34", point=b"\x04" + b"\1" * 64),
    "zero": sec1(b"\0"),
    "too large": sec1(b"\1" + bytes(32), point=None),
    "another kind": pkcs8(sec1(b"\x12\x34"), kind=RSA),
    "another kind, Notary's way": pkcs8(sec1(SMALL.to_bytes(32)), kind=RSA, curve=b"\5\0", version=1),
    "no SEC 1": pkcs8(b"\x12\x34"),
}


@pytest.mark.parametrize("der", NO_KEYS.values(), ids=list(NO_KEYS))
def test_what_is_no_such_key_is_none(der: bytes) -> None:
    with pytest.raises(KeyFileMalformed, match="no private key in it"):
        read_private_key(der, place="p")


def test_of_rsa_the_same_container_is_read_with_such_a_key_in_it() -> None:
    """Version 1 without a public key, as Notary writes the others."""
    rsa_key = rsa.generate_private_key(65537, 2048)
    inner = rsa_key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    info = PrivateKeyInfo(version=1, algorithm=asn1.decode_der(asn1.TLV, tlv(0x30, RSA + b"\5\0")), private_key=inner)
    read = read_private_key(asn1.encode_der(info), place="p")
    assert isinstance(read, rsa.RSAPrivateKey)
    assert read.private_numbers() == rsa_key.private_numbers()


@pytest.mark.parametrize(("curve", "reason"), [(P521, "secp521r1"), (UNKNOWN, "its algorithm is not supported")])
def test_a_curve_that_is_not_taken_is_named(curve: bytes, reason: str) -> None:
    der = sec1(b"\x12\x34", curve=curve, point=None)
    with pytest.raises(KeyNotAccepted, match=reason):
        read_private_pem(write_pem([PemBlock(label="EC PRIVATE KEY", headers={}, content=der)]), None, place="p")
