"""PEM is read whatever happened to its container; what is in it must be whole, and each refusal says what is odd."""

from __future__ import annotations

import base64
import codecs
import gzip
import io
import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from keys.algorithms import Algorithm, generate
from keys.der import behind, is_one_sequence, within
from keys.errors import KeyFileMalformed
from keys.foreign_files import Wanted
from keys.key_info import KeyInfo
from keys.material import write_private_pem, write_public_pem
from keys.notary import bare_key
from keys.pem import MAX_BLOCKS, MAX_KEY_FILE, PemBlock, lacking, read_pem, write_pem
from keys.private_blocks import read_private_blocks, read_private_pem
from tests.support.attackers.key_files import HOSTILE
from tests.support.odd_keys import CHANGES, DOCKER_1_8, ODD_KEYS, REPOSITORY_PASSPHRASE, Change

TARGETS_KEY = next(file for file in DOCKER_1_8.iterdir() if file.name.startswith("069d"))
NOTARY_KEY = ODD_KEYS / "keys" / "notary-targets-newline-behind.key"
PLAIN = (ODD_KEYS / "keys" / "openssl-ecparam-genkey.pem").read_bytes()
PRIVATE = generate()
assert isinstance(PRIVATE, EllipticCurvePrivateKey)
SEC1 = PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
EC_PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
CERTIFICATE = (ODD_KEYS / "keys" / "delegation.crt").read_bytes()


def said(data: bytes) -> str:
    """What is said of a file that holds no private key."""
    with pytest.raises(KeyFileMalformed) as caught:
        read_private_blocks(data, place="a.key")
    assert str(caught.value).startswith("a.key is not a key file that can be read: ")
    return caught.value.reason


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
@pytest.mark.parametrize("file", [TARGETS_KEY, NOTARY_KEY], ids=["docker 1.8", "notary"])
def test_a_key_file_is_what_it_was_whatever_carried_it(file: Path, change: Change) -> None:
    original = file.read_bytes()
    [was], [read] = (read_private_blocks(data, place="a.key") for data in (original, change(original)))
    assert (read.role, read.gun, read.encrypted) == ("targets", "docker.io/example/app", True)
    assert read.block == was.block
    keyid = bare_key(read.open(REPOSITORY_PASSPHRASE.encode()).public_key()).keyid
    assert file != TARGETS_KEY or keyid == file.stem


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
@pytest.mark.parametrize("pem", [PLAIN, SEC1], ids=["PKCS#8", "SEC 1"])
def test_so_is_one_without_headers(pem: bytes, change: Change) -> None:
    assert read_pem(change(pem), place="a.key") == read_pem(pem, place="a.key")


@pytest.mark.parametrize("around", [(EC_PARAMETERS, b""), (CERTIFICATE, b""), (b"", CERTIFICATE * 2)])
def test_what_stands_beside_a_key_is_left_alone(around: tuple[bytes, bytes]) -> None:
    before, after = around
    assert read_private_pem(before + SEC1 + after, None, place="p").public_key() == PRIVATE.public_key()


def test_every_key_of_a_file_is_found_and_named_by_its_number() -> None:
    keys = read_private_blocks((ODD_KEYS / "keys" / "notary-key-export-several.pem").read_bytes(), place="all.pem")
    assert [key.role for key in keys] == ["snapshot", "targets", "root"]
    assert [key.gun for key in keys] == ["docker.io/example/app", "docker.io/example/app", ""]
    assert [key.place for key in keys] == [f"all.pem (key {n} of 3)" for n in (1, 2, 3)]
    assert [key.place for key in read_private_blocks(PLAIN * 2, place="p")] == ["p (key 1 of 2)", "p (key 2 of 2)"]
    three = (ODD_KEYS / "keys" / "notary-key-export-several.pem").read_bytes()
    for data, count in ((three, 3), (PLAIN + PLAIN, 2)):
        with pytest.raises(KeyFileMalformed, match=f"{count} private keys where one is wanted") as caught:
            read_private_pem(data, b"x", place="all.pem")
        assert caught.value.place == "all.pem"


def _der(encoding: Encoding = Encoding.DER) -> bytes:
    return PRIVATE.private_bytes(encoding, PrivateFormat.PKCS8, NoEncryption())


def _in_one_line(pem: bytes) -> bytes:
    return b" ".join(pem.split(b"\n"))


SHORT = generate(Algorithm.ED25519).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
"""A key of fewer than 128 bytes, whose length is written in one."""


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.key", PLAIN)
    return buffer.getvalue()


OTHERS = {
    "nothing": (b"", "it is empty"),
    "blank lines": (b" \r\n\n", "it is empty"),
    "a byte order mark alone": (b"\xef\xbb\xbf", "no PEM block in it"),
    "a certificate": (CERTIFICATE, "it holds a certificate where a private key is wanted"),
    "a public key": (write_public_pem(KeyInfo.of(PRIVATE, purpose="root").public), "it holds a public key where a"),
    "a list of revoked certificates": (
        b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n",
        "it holds an X509 CRL",
    ),
    "parameters": (EC_PARAMETERS, "it holds an EC PARAMETERS where a private key is wanted"),
    "OpenSSH beside a key": (
        PLAIN + PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        "it holds a private key of OpenSSH, a form that is not read here",
    ),
    "ZIP": (_zip(), "it is a ZIP archive"),
    "gzip": (gzip.compress(PLAIN), "it is compressed (gzip)"),
    "DER": (_der(), "it is a private key in DER, and PEM is wanted"),
    "short DER": (SHORT, "it is a private key in DER, and PEM is wanted"),
    "base64 alone": (
        base64.b64encode(_der()),
        "it has no PEM block: the lines -----BEGIN ...----- and -----END ...----- are missing",
    ),
    "base64 alone, in lines": (base64.encodebytes(_der()), "it has no PEM block: the lines -----BEGIN ...----- and"),
    "a web page below blanks": (b"\n  <html></html>", "it is a web page or XML"),
    "JSON below a blank line, in base64": (base64.b64encode(b'\n{"kty": "EC"}'), "it is a JWK"),
    "a web page": (b"<!DOCTYPE html>\n<html><title>404</title></html>", "it is a web page or XML"),
    "other dashes": (
        PLAIN.replace(b"-----", "—".encode()),
        "no PEM block in it: its line -----BEGIN ...----- was altered",
    ),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "no PEM block in it"),
    "half of UTF-16": (b"\xff\xfe-\0-", "no PEM block in it"),
    "half of UTF-16 without a mark": (b"-\0-\0-", "no PEM block in it"),
    "half of the other UTF-16": (b"\0-\0-\0", "no PEM block in it"),
    "cut": (PLAIN[:-20], "it is cut off: -----END PRIVATE KEY----- is missing"),
    "cut, and another": (PLAIN[:-20] + PLAIN, "it is cut off"),
    "two labels": (PLAIN.replace(b"END PRIVATE", b"END EC PRIVATE"), "it begins as PRIVATE KEY and ends as EC PRIVATE"),
    "no base64": (PLAIN.replace(b"MIGH", b"M!GH"), "its PEM is not base64"),
    "cut content": (PLAIN.replace(b"MIGHAgEA", b"MIGHAgEAAAAA"), "its content is cut or altered"),
    "no content": (b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", "its content is cut or altered"),
    "headers alone": (b"-----BEGIN PRIVATE KEY-----\nrole: root\n-----END PRIVATE KEY-----\n", "its content is cut"),
    "headers alone, in one line": (
        b"-----BEGIN PRIVATE KEY----- role: root -----END PRIVATE KEY-----",
        "its content is",
    ),
    "a header without a value": (
        b"-----BEGIN PRIVATE KEY----- role: -----END PRIVATE KEY-----",
        "its PEM is not base64",
    ),
    "no name of a header": (_in_one_line(PLAIN).replace(b"MIGH", b"r!: root MIGH"), "its PEM is not base64"),
    "two roles": (NOTARY_KEY.read_bytes().replace(b"gun:", b"role:"), "it has one header twice"),
    "a header that is no text": (NOTARY_KEY.read_bytes().replace(b"targets", b"\xff\xfe"), "its headers are no text"),
    "a header that is no text behind a byte order mark": (
        codecs.BOM_UTF8 + NOTARY_KEY.read_bytes().replace(b"targets", b"\xff\xfe"),
        "its headers are no text",
    ),
    "too large": (PLAIN + b"\n" * MAX_KEY_FILE, f"larger than {MAX_KEY_FILE} bytes"),
    "too many": (PLAIN.replace(PLAIN, b"-----BEGIN A-----\nMAA=\n-----END A-----\n") * (MAX_BLOCKS + 1), "more than"),
}


@pytest.mark.parametrize("name", list(OTHERS))
def test_what_is_no_private_key_is_told_by_its_own_name(name: str) -> None:
    data, reason = OTHERS[name]
    assert said(data).startswith(reason)


@pytest.mark.parametrize(
    ("label", "wanted", "end"),
    [
        ("CERTIFICATE", "unencrypted private key", "a certificate where a private key is wanted"),
        ("EC PRIVATE KEY", "certificate", "an EC PRIVATE KEY where a certificate is wanted"),
        ("DH PARAMETERS", "public key", "a DH PARAMETERS where a public key is wanted"),
        ("ANY PRIVATE KEY", "private key", "an ANY PRIVATE KEY, a form that is not read here"),
    ],
)
def test_a_block_that_is_not_wanted_is_told_from_one_that_is_not_read(label: str, wanted: Wanted, end: str) -> None:
    block = PemBlock(label=label, headers={}, content=b"")
    error = lacking([block], place="a.key", wanted=wanted)
    assert error.reason.endswith(f" {end}")
    assert (error.place, error.command) == ("a.key", "")


@pytest.mark.parametrize(
    "data", [b"KEY=abc", b"-- BEGIN of a letter --", base64.b64encode(_der()).replace(b"MIGH", b"M!I!GH")]
)
def test_of_what_reminds_of_no_key_nothing_else_is_said(data: bytes) -> None:
    assert said(data) == "no PEM block in it"


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_a_header_may_have_several_words_where_it_has_a_line(line_end: bytes) -> None:
    pem = SEC1.replace(b"KEY-----\n", b"KEY-----\nComment: of my old machine\n\n", 1)
    [block], [bare] = (read_pem(data, place="p") for data in (pem.replace(b"\n", line_end), SEC1))
    assert block == PemBlock(label=bare.label, headers={"comment": "of my old machine"}, content=bare.content)


def test_a_block_of_which_nothing_is_decoded_is_empty() -> None:
    """The base64 of PGP ends with a checksum; a block may have headers alone."""
    signature = b"-----BEGIN PGP SIGNATURE-----\nVersion: 2\n\niQEz\n=AbCd\n-----END PGP SIGNATURE-----\n"
    headers = b"-----BEGIN EC PARAMETERS-----\nrole: root\n-----END EC PARAMETERS-----\n"
    assert read_pem(signature + headers, place="p") == (
        PemBlock(label="PGP SIGNATURE", headers={}, content=b""),
        PemBlock(label="EC PARAMETERS", headers={"role": "root"}, content=b""),
    )


def test_one_header_twice_with_the_same_value_is_one() -> None:
    raw = NOTARY_KEY.read_bytes().replace(b"role: targets\n", b"role: targets\nrole: targets\n")
    assert read_private_blocks(raw, place="p")[0].role == "targets"


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=list(HOSTILE))
def test_a_hostile_file_is_refused(hostile: bytes) -> None:
    """What it costs: tests/benchmarks/hostile_files.py."""
    said(hostile)


@pytest.mark.parametrize(
    ("der", "whole"),
    [
        ("3000", True),
        ("30810101", True),
        ("300101", True),
        ("30", False),
        ("", False),
        ("3081", False),
        ("3100", False),
        ("3080", False),
        ("3080" + "00" * 128, False),
        ("308400000001aa", True),
        ("30850000000001aa", False),
    ],
)
def test_one_der_sequence(der: str, *, whole: bool) -> None:
    assert is_one_sequence(bytes.fromhex(der)) is whole


@pytest.mark.parametrize(
    ("der", "inside", "after"),
    [
        ("300105", "05", ""),
        ("3001050600", "050600", "0600"),
        ("308101050600", "050600", "0600"),
        ("3000", "", ""),
        ("30", "", ""),
        ("", "", ""),
        ("310005", "05", ""),
        ("308005", "05", ""),
    ],
)
def test_what_is_within_der_and_what_is_behind_its_sequence(der: str, inside: str, after: str) -> None:
    assert (within(bytes.fromhex(der)).hex(), behind(bytes.fromhex(der)).hex()) == (inside, after)


def test_a_length_that_no_file_has_is_no_sequence() -> None:
    assert not is_one_sequence(b"\x30\xff" + b"\0" * 200)
    assert not is_one_sequence(b"\x30\x80\0\0")


def test_blocks_that_are_written_are_read_again() -> None:
    blocks = (*read_pem(CERTIFICATE, place="p"), *read_pem(SEC1, place="p"))
    assert read_pem(write_pem(blocks), place="p") == blocks
    assert write_pem(blocks) == CERTIFICATE + SEC1, "as other programs write them"


def test_the_content_stays_out_of_what_is_printed() -> None:
    [block] = read_pem(write_private_pem(PRIVATE, None), place="p")
    assert repr(block) == "PemBlock('PRIVATE KEY')"
