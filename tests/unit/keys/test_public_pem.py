"""The public key of a signer: bare or in a certificate, whatever carried it; a private key is given to nobody."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from keys import sealed_file
from keys.algorithms import generate, public_fingerprint, public_key_of
from keys.certificate import LEEWAY
from keys.errors import KeyFileMalformed, KeyIsPrivate, KeyNotAccepted
from keys.key_info import KeyInfo
from keys.material import tuf_key, write_private_pem, write_public_pem
from keys.notary import NotaryKey
from keys.pem import read_pem
from keys.public_pem import read_public_pem
from tests.support.cheap_keys import CHEAP
from tests.support.odd_keys import CHANGES, ODD_KEYS, Change

AT = datetime(2026, 11, 29, tzinfo=UTC)
PRIVATE = ec.generate_private_key(ec.SECP256R1())
BARE = write_public_pem(tuf_key(PRIVATE))
DELEGATION = (ODD_KEYS / "keys" / "delegation.crt").read_bytes()


def certificate(
    private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | dsa.DSAPrivateKey = PRIVATE,
    *,
    subject: str = "alice",
    issuer: str = "alice",
    start: datetime = AT - timedelta(days=1),
) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=30))
    )
    hashed = None if isinstance(private, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(private, hashed).public_bytes(Encoding.PEM)


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_bare_keys_and_certificates_are_what_they_were_whatever_carried_them(change: Change) -> None:
    assert read_public_pem(change(BARE), place="p", at=AT) == tuf_key(PRIVATE)
    assert read_public_pem(change(DELEGATION), place="p", at=AT) == read_public_pem(DELEGATION, place="p", at=AT)


def test_a_certificate_is_a_key_of_its_own_as_in_go() -> None:
    key = read_public_pem(DELEGATION, place="p", at=AT)
    assert isinstance(key, NotaryKey)
    assert key.keytype == "rsa-x509"
    assert base64.b64decode(key.keyval["public"]) == DELEGATION
    ecdsa = read_public_pem(certificate(), place="p", at=AT)
    assert (ecdsa.keytype, public_fingerprint(public_key_of(ecdsa))) == (
        "ecdsa-x509",
        public_fingerprint(PRIVATE.public_key()),
    )


def test_of_an_ed25519_key_there_is_no_certificate_in_notary() -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    assert read_public_pem(certificate(private), place="p", at=AT) == tuf_key(private)


def test_a_chain_is_the_key_of_its_first_certificate() -> None:
    authority = ec.generate_private_key(ec.SECP256R1())
    chain = certificate(issuer="ca") + certificate(authority, subject="ca", issuer="ca")
    assert public_key_of(read_public_pem(chain, place="p", at=AT)) == PRIVATE.public_key()
    with_key = BARE + certificate()
    assert isinstance(read_public_pem(with_key, place="p", at=AT), NotaryKey)


def test_pkcs1_of_a_public_key() -> None:
    private = rsa.generate_private_key(65537, 2048)
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    assert read_public_pem(pem, place="p", at=AT) == tuf_key(private)


@pytest.mark.parametrize("passphrase", [None, b"secret"])
def test_a_private_key_is_refused_by_a_name_of_its_own(passphrase: bytes | None) -> None:
    private = generate()
    sealed = sealed_file.seal(private, "secret", info=KeyInfo.of(private, purpose="signer"), cost=CHEAP)
    pem = write_private_pem(private, passphrase)
    for data in (pem, BARE + pem, sealed, base64.b64encode(pem), pem.replace(b"PRIVATE", b"OPENSSH PRIVATE", 2)):
        with pytest.raises(KeyIsPrivate) as caught:
            read_public_pem(data, place="alice.key", at=AT)
        assert caught.value.code == "key-is-private"
        assert str(caught.value).startswith("alice.key holds a private key")


def test_what_holds_no_public_key_or_several_is_told() -> None:
    other = write_public_pem(tuf_key(generate()))
    for data, reason in (
        (BARE + other, "several public keys"),
        (certificate() + certificate(subject="bob", issuer="bob"), "several public keys"),
        (other + certificate(), "its public key does not match its certificate"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n", "a certificate request"),
        (b"-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n", "no public key in it"),
        (b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "its certificate cannot be read"),
        (b"", "it is empty"),
    ):
        with pytest.raises(KeyFileMalformed) as caught:
            read_public_pem(data, place="p", at=AT)
        assert reason in caught.value.reason
        assert caught.value.place == "p"


def test_a_key_twice_is_one() -> None:
    assert read_public_pem(BARE + BARE, place="p", at=AT) == tuf_key(PRIVATE)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (certificate(start=AT - timedelta(days=31)), "valid from 2026-10-29 to 2026-11-28 only"),
        (certificate(start=AT + timedelta(days=2)), "valid from 2026-12-01"),
        (certificate(ec.generate_private_key(ec.SECP521R1())), "secp521r1"),
        (certificate(dsa.generate_private_key(2048)), "neither ECDSA, Ed25519 nor RSA"),
    ],
)
def test_a_certificate_that_go_clients_refuse_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(KeyNotAccepted, match=reason) as caught:
        read_public_pem(data, place="p", at=AT)
    assert caught.value.key == "p"


def test_a_certificate_that_begins_within_a_day_is_taken() -> None:
    read_public_pem(certificate(start=AT + timedelta(hours=23)), place="p", at=AT)


def test_a_certificate_signed_with_sha1_is_refused() -> None:
    with pytest.raises(KeyNotAccepted, match="signed with sha1") as caught:
        read_public_pem((ODD_KEYS / "keys" / "sha1.crt").read_bytes(), place="p", at=AT)
    assert caught.value.key == "p"


def test_a_certificate_of_a_version_that_does_not_exist_cannot_be_read() -> None:
    [block] = read_pem(certificate(), place="p")
    version = bytes.fromhex("a003020102")
    assert block.content.count(version) == 1
    unknown = block.content.replace(version, bytes.fromhex("a003020103"))
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(unknown) + b"-----END CERTIFICATE-----\n"
    with pytest.raises(KeyFileMalformed, match="its certificate cannot be read"):
        read_public_pem(pem, place="p", at=AT)
    for keytype in ("ecdsa-x509", "rsa-x509"):
        with pytest.raises(KeyNotAccepted, match="no key that can be read"):
            NotaryKey.of(keytype, base64.b64encode(pem).decode()).read()


def test_a_chain_whose_names_cannot_be_read() -> None:
    [block] = read_pem(certificate(subject="XXXX", issuer="XXXX"), place="p")
    for odd in (b"\x03\x04\0XXX", b"\x0c\x04\xff\xfe\xff\xfe"):
        der = block.content.replace(b"\x0c\x04XXXX", odd)
        pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
        with pytest.raises(KeyFileMalformed, match="its certificate cannot be read") as caught:
            read_public_pem(pem + pem, place="p", at=AT)
        assert caught.value.place == "p"


def test_a_certificate_of_an_unknown_algorithm_is_not_accepted() -> None:
    [block] = read_pem(certificate(), place="p")
    unknown = block.content.replace(bytes.fromhex("2a8648ce3d0201"), bytes.fromhex("2a8648ce3d027f"))
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(unknown) + b"-----END CERTIFICATE-----\n"
    with pytest.raises(KeyNotAccepted, match="not supported") as caught:
        read_public_pem(pem, place="p", at=AT)
    assert caught.value.key == "p"


def test_a_certificate_is_valid_from_its_first_moment_to_its_last() -> None:
    second, valid = timedelta(seconds=1), timedelta(days=30)
    read_public_pem(certificate(start=AT + LEEWAY), place="p", at=AT)
    read_public_pem(certificate(start=AT - valid), place="p", at=AT)
    for start in (AT + LEEWAY + second, AT - valid - second):
        with pytest.raises(KeyNotAccepted, match="its certificate is valid from"):
            read_public_pem(certificate(start=start), place="p", at=AT)


@pytest.mark.parametrize("private", [ec.generate_private_key(ec.SECP521R1()), rsa.generate_private_key(65537, 1024)])
def test_a_bare_key_that_is_not_accepted_is_named(private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(KeyNotAccepted) as caught:
        read_public_pem(pem, place="p", at=AT)
    assert caught.value.key == "p"


def test_a_bare_key_of_an_unknown_algorithm_is_not_accepted() -> None:
    [block] = read_pem(BARE, place="p")
    unknown = block.content.replace(bytes.fromhex("2a8648ce3d0201"), bytes.fromhex("2a8648ce3d027f"))
    pem = b"-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(unknown) + b"-----END PUBLIC KEY-----\n"
    with pytest.raises(KeyNotAccepted, match="its algorithm is not supported") as caught:
        read_public_pem(pem, place="p", at=AT)
    assert caught.value.key == "p"
