"""PEM in and out, and TUF key objects."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import Key

from keys.algorithms import Algorithm, PrivateKey, generate
from keys.errors import KeyFileMalformed, KeyIsPrivate, KeyNotAccepted, PassphraseMissing, PassphraseWrong
from keys.material import (
    read_private_der,
    tuf_key,
    write_private_der,
    write_private_pem,
    write_public_pem,
)
from keys.pem import MAX_KEY_FILE
from keys.private_blocks import read_private_blocks, read_private_pem
from keys.public_pem import read_public_pem

AT = datetime(2026, 11, 29, tzinfo=UTC)
KEYS: dict[Algorithm, PrivateKey] = {a: generate(a) for a in Algorithm}


def test_the_key_id_is_the_hash_of_the_canonical_key_object_without_extra_members() -> None:
    for private in KEYS.values():
        key = tuf_key(private)
        assert set(key.to_dict()) == {"keytype", "scheme", "keyval"}
        assert set(key.keyval) == {"public"}
        canonical = encode_canonical(key.to_dict())
        assert canonical is not None
        assert key.keyid == hashlib.sha256(canonical.encode()).hexdigest()
        assert tuf_key(private.public_key()) == key
        assert Key.from_dict(key.keyid, key.to_dict()) == key


def test_rsa_is_made_with_3072_bits() -> None:
    key = KEYS[Algorithm.RSA]
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 3072


@pytest.mark.parametrize("passphrase", [None, b"\0", b"secret", bytes(range(255, 215, -1))])
@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_what_is_exported_is_imported(algorithm: Algorithm, passphrase: bytes | None) -> None:
    private = KEYS[algorithm]
    pem = write_private_pem(private, passphrase)
    [block] = read_private_blocks(pem, place="a file")
    assert block.encrypted is (passphrase is not None)
    assert tuf_key(read_private_pem(pem, passphrase, place="a file")) == tuf_key(private)
    assert tuf_key(read_private_der(write_private_der(private), place="a file")) == tuf_key(private)


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_public_keys_are_exported_and_imported(algorithm: Algorithm) -> None:
    key = tuf_key(KEYS[algorithm])
    assert read_public_pem(write_public_pem(key), place="a file", at=AT) == key


def test_the_export_is_what_other_programs_read() -> None:
    pem = write_private_pem(KEYS[Algorithm.ECDSA_P256], b"secret")
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    load_pem_private_key(pem, b"secret")


@pytest.mark.parametrize("encrypted", [False, True])
def test_reads_the_older_forms(*, encrypted: bool) -> None:
    for private in (KEYS[Algorithm.ECDSA_P256], KEYS[Algorithm.RSA]):
        encryption = BestAvailableEncryption(b"secret") if encrypted else NoEncryption()
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, encryption)
        assert tuf_key(read_private_pem(pem, b"secret", place="a file")) == tuf_key(private)


def test_a_wrong_or_missing_passphrase_names_the_file() -> None:
    pem = write_private_pem(KEYS[Algorithm.ED25519], b"secret")
    for wrong in (b"guess", b"secret "):
        with pytest.raises(PassphraseWrong) as caught:
            read_private_pem(pem, wrong, place="/keys/mine.pem")
        assert caught.value.key == "/keys/mine.pem"
        assert "secret" not in str(caught.value)
    for none in (None, b""):
        with pytest.raises(PassphraseMissing) as missing:
            read_private_pem(pem, none, place="/keys/mine.pem")
        assert (missing.value.key, missing.value.sources) == ("/keys/mine.pem", ())


def test_an_empty_passphrase_exports_nothing() -> None:
    with pytest.raises(PassphraseMissing) as caught:
        write_private_pem(KEYS[Algorithm.ED25519], b"")
    assert (caught.value.key, caught.value.sources) == ("the exported key", ())


def test_a_damaged_file_is_not_called_a_wrong_passphrase() -> None:
    pem = write_private_pem(KEYS[Algorithm.ECDSA_P256], b"secret")
    lines = pem.splitlines(keepends=True)
    cut = "its content is cut or altered"
    damaged = {
        b"".join(lines[:2] + lines[-1:]): cut,
        b"".join(lines[:-1]): "it is cut off: -----END ENCRYPTED PRIVATE KEY----- is missing",
        lines[0] + b"!!!!\n" + b"".join(lines[1:]): "its PEM is not base64: cut or altered",
        pem + pem: "it holds 2 private keys where one is wanted",
        b"": "it is empty",
        lines[0] + lines[-1]: cut,
        lines[0] + b"AAAA\n" + lines[-1]: cut,
        pem.ljust(65_537): "larger than 65536 bytes",
    }
    for data, reason in damaged.items():
        with pytest.raises(KeyFileMalformed) as caught:
            read_private_pem(data, b"secret", place="/keys/mine.pem")
        assert (caught.value.place, caught.value.reason) == ("/keys/mine.pem", reason)


def test_a_file_is_as_long_as_a_key_file_may_be() -> None:
    assert MAX_KEY_FILE == 65_536
    private = KEYS[Algorithm.ED25519]
    pem = write_private_pem(private, None)
    assert tuf_key(read_private_pem(pem.ljust(MAX_KEY_FILE), None, place="p")) == tuf_key(private)


def test_lines_may_end_and_begin_in_any_white_space() -> None:
    private = KEYS[Algorithm.RSA]
    pem = write_private_pem(private, None)
    assert tuf_key(read_private_pem(pem.replace(b"\n", b"\r\n"), None, place="p")) == tuf_key(private)
    first, *body, last = pem.splitlines()
    spaced = b"\n".join([first, *(b" " + line + b"\t" for line in body), last])
    assert tuf_key(read_private_pem(spaced, None, place="p")) == tuf_key(private)


@pytest.mark.parametrize(
    ("der", "whole"),
    [
        (b"", False),
        (b"\x30", False),
        (b"\x30\x00", True),
        (b"\x31\x00", False),
        (b"\x30\x01", False),
        (b"\x30\x00\x00", False),
        (b"\x30\x7f" + bytes(127), True),
        (b"\x30\x7f" + bytes(126), False),
        (b"\x30\x80" + bytes(128), False),
        (b"\x30\x81\x80" + bytes(128), True),
        (b"\x30\x81\x80" + bytes(127), False),
        (b"\x30\x81\x80" + bytes(129), False),
        (b"\x30\x82\x01\x02" + bytes(258), True),
        (b"\x30\x82\x01\x02" + bytes(257), False),
        (b"\x30\x82\x01", False),
    ],
)
def test_what_is_cut_is_told_from_what_is_no_key(der: bytes, *, whole: bool) -> None:
    for label, kind, read in (
        ("PRIVATE KEY", "private", lambda pem: read_private_pem(pem, None, place="p")),
        ("PUBLIC KEY", "public", lambda pem: read_public_pem(pem, place="p", at=AT)),
    ):
        with pytest.raises(KeyFileMalformed) as caught:
            read(framed(label, der))
        expected = f"no {kind} key in it" if whole else "its content is cut or altered"
        assert (caught.value.place, caught.value.reason) == ("p", expected)


def test_what_is_no_key_in_der_is_named() -> None:
    with pytest.raises(KeyFileMalformed) as caught:
        read_private_der(b"\x30\x00", place="p")
    assert (caught.value.place, caught.value.reason) == ("p", "no private key in it")


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_foreign_bytes_are_refused_as_malformed(data: bytes) -> None:
    for read in (lambda: read_private_pem(data, b"x", place="p"), lambda: read_public_pem(data, place="p", at=AT)):
        with pytest.raises(KeyFileMalformed):
            read()
    with pytest.raises((KeyFileMalformed, KeyNotAccepted)):
        read_private_der(data, place="p")


def test_a_sequence_that_is_no_key_is_malformed() -> None:
    for label in ("PRIVATE KEY", "PUBLIC KEY"):
        pem = f"-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n".encode()
        with pytest.raises(KeyFileMalformed):
            (
                read_public_pem(pem, place="p", at=AT)
                if label == "PUBLIC KEY"
                else read_private_pem(pem, None, place="p")
            )


def test_a_key_of_an_unknown_algorithm_is_not_accepted() -> None:
    private = KEYS[Algorithm.ED25519]
    ours, unknown = bytes.fromhex("06032b6570"), bytes.fromhex("06032b657a")  # object identifiers
    der = write_private_der(private).replace(ours, unknown)
    spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).replace(ours, unknown)
    for read, reason in (
        (lambda: read_private_der(der, place="p"), "its algorithm is not supported"),
        (
            lambda: read_private_pem(framed("PRIVATE KEY", der), None, place="p"),
            "its algorithm is not supported",
        ),
        (lambda: read_public_pem(framed("PUBLIC KEY", spki), place="p", at=AT), "its algorithm is not supported"),
    ):
        with pytest.raises(KeyNotAccepted) as caught:
            read()
        assert (caught.value.key, caught.value.reason) == ("p", reason)


def framed(label: str, der: bytes) -> bytes:
    return f"-----BEGIN {label}-----\n{base64.b64encode(der).decode()}\n-----END {label}-----\n".encode()


def test_private_where_public_is_wanted_and_the_reverse() -> None:
    private = KEYS[Algorithm.ECDSA_P256]
    for passphrase in (None, b"secret"):
        with pytest.raises(KeyIsPrivate, match="p holds a private key"):
            read_public_pem(write_private_pem(private, passphrase), place="p", at=AT)
    with pytest.raises(KeyFileMalformed):
        read_private_pem(write_public_pem(tuf_key(private)), None, place="p")


def test_weak_and_foreign_keys_are_not_accepted() -> None:
    for key in (
        rsa.generate_private_key(65537, 1024),
        ec.generate_private_key(ec.SECP521R1()),
        ec.generate_private_key(ec.SECP256K1()),
        dsa.generate_private_key(1024),
    ):
        private_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public_pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        for read in (
            lambda pem=private_pem: read_private_pem(pem, None, place="p"),
            lambda pem=public_pem: read_public_pem(pem, place="p", at=AT),
            lambda der=der: read_private_der(der, place="p"),
        ):
            with pytest.raises(KeyNotAccepted) as caught:
                read()
            assert caught.value.key == "p"


def test_a_key_that_is_not_accepted_has_the_name_that_its_user_gives() -> None:
    foreign = ec.generate_private_key(ec.SECP521R1())
    for key, names, shown in ((foreign, {}, "key"), (foreign.public_key(), {"named": "p"}, "p")):
        with pytest.raises(KeyNotAccepted) as caught:
            tuf_key(key, **names)
        assert caught.value.key == shown
