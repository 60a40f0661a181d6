"""Key files of docker and notary: every quirk of them opens, and nothing else does."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat import asn1

from keys.algorithms import Algorithm, generate
from keys.errors import KeyFileMalformed, KeyNotAccepted, PassphraseMissing, PassphraseWrong
from keys.notary import bare_key
from keys.notary_files import write_notary_key_file
from keys.pkcs8 import EncryptedPrivateKeyInfo, PrivateKeyInfo, _Pbes2
from keys.private_blocks import PrivateKeyBlock, read_private_blocks

FOLDER = Path(__file__).parents[2] / "vectors" / "notary_v1"
KEYS: list[dict[str, Any]] = json.loads((FOLDER / "keys.json").read_text())
PASSPHRASE = b"vector-pass"
ALGORITHMS = [vector["Alg"] for vector in KEYS]


def data(algorithm: str, form: str) -> bytes:
    return (FOLDER / "keys" / f"{algorithm}.{form}.key").read_bytes()


def read(raw: bytes) -> PrivateKeyBlock:
    [found] = read_private_blocks(raw, place="a.key")
    return found


def changed(raw: bytes, change: Callable[[bytearray], object]) -> bytes:
    """The file with its content changed."""
    head, body = raw.split(b"\n\n", 1)
    text, foot = body.split(b"-----END", 1)
    content = bytearray(base64.b64decode(text))
    change(content)
    return head + b"\n\n" + base64.encodebytes(content) + b"-----END" + foot


@pytest.mark.parametrize("form", ["plain", "encrypted"])
@pytest.mark.parametrize("vector", KEYS, ids=lambda vector: vector["Alg"])
def test_every_kind_opens_and_is_the_key_of_its_id(vector: dict[str, Any], form: str) -> None:
    file = read(data(vector["Alg"], form))
    assert (file.role, file.gun, file.encrypted) == (vector["Role"], vector["GUN"], form == "encrypted")
    private = file.open(PASSPHRASE)
    assert bare_key(private.public_key()).keyid == vector["KeyID"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_wrong_passphrase_is_named_as_such_whatever_padding_it_leaves(algorithm: str) -> None:
    file = read(data(algorithm, "encrypted"))
    with pytest.raises(PassphraseMissing):
        file.open(None)
    for number in range(300):  # one in 256 leaves sound padding behind
        with pytest.raises(PassphraseWrong) as caught:
            file.open(f"wrong {number}".encode())
        assert "a.key" in str(caught.value)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("form", ["plain", "encrypted"])
def test_cut_or_lengthened_content_is_malformed(algorithm: str, form: str) -> None:
    for change in (lambda c: c.pop(), lambda c: c.append(0), lambda c: c.__setitem__(0, 0x31)):
        with pytest.raises(KeyFileMalformed):
            read(changed(data(algorithm, form), change)).open(PASSPHRASE)


@pytest.mark.parametrize("at", [-1, -40, -70])
def test_an_ed25519_key_whose_halves_disagree_is_no_key(at: int) -> None:
    def flip(content: bytearray) -> None:
        content[at] ^= 1

    with pytest.raises(KeyFileMalformed):
        read(changed(data("ed25519", "plain"), flip)).open(None)


def test_another_algorithm_or_encryption_is_not_accepted() -> None:
    x25519 = base64.b64decode("MC4CAQAwBQYDK2VuBCIEIHCQRW0fH3wn1OCRgi0UOX0wSE8g0aqj+Jz2cnVtZTVT")
    head = b"-----BEGIN PRIVATE KEY-----\nrole: targets\n\n"
    with pytest.raises(KeyNotAccepted):
        read(head + base64.encodebytes(x25519) + b"-----END PRIVATE KEY-----\n").open(None)

    def other_cipher(content: bytearray) -> None:
        at = content.index(bytes.fromhex("60864801650304012a"))
        content[at + 8] = 0x2B  # none

    with pytest.raises(KeyNotAccepted, match="encryption"):
        read(changed(data("ecdsa", "encrypted"), other_cipher)).open(PASSPHRASE)


def test_a_derivation_that_would_take_for_ever_is_not_begun() -> None:
    def endless(content: bytearray) -> None:
        info = asn1.decode_der(EncryptedPrivateKeyInfo, bytes(content))
        method: _Pbes2 = info.algorithm.parse(_Pbes2)
        method.parameters.derivation.parameters.iterations = 10**9
        info.algorithm = asn1.decode_der(asn1.TLV, asn1.encode_der(method))
        content[:] = asn1.encode_der(info)

    with pytest.raises(KeyNotAccepted, match="iterations"):
        read(changed(data("ecdsa", "encrypted"), endless)).open(PASSPHRASE)


@pytest.mark.parametrize("size", [64, 95, 97])
def test_an_ed25519_key_of_another_size_is_no_key(size: int) -> None:
    def resized(content: bytearray) -> None:
        info = asn1.decode_der(PrivateKeyInfo, bytes(content))
        info.private_key = (info.private_key * 2)[:size]
        content[:] = asn1.encode_der(info)

    with pytest.raises(KeyFileMalformed):
        read(changed(data("ed25519", "plain"), resized)).open(None)


def test_an_algorithm_that_is_none() -> None:
    def no_algorithm(content: bytearray) -> None:
        info = asn1.decode_der(PrivateKeyInfo, bytes(content))
        info.algorithm = asn1.decode_der(asn1.TLV, b"\x30\x02\x05\x00")
        content[:] = asn1.encode_der(info)

    with pytest.raises((KeyFileMalformed, KeyNotAccepted)):
        read(changed(data("ecdsa", "plain"), no_algorithm)).open(None)


def test_a_key_that_is_another_than_its_algorithm_says_is_no_key() -> None:
    def rsa_as_ec(content: bytearray) -> None:
        info = asn1.decode_der(PrivateKeyInfo, bytes(content))
        info.private_key = read_info("rsa").private_key
        content[:] = asn1.encode_der(info)

    def read_info(algorithm: str) -> PrivateKeyInfo:
        return asn1.decode_der(PrivateKeyInfo, read(data(algorithm, "plain")).block.content)

    with pytest.raises(KeyFileMalformed):
        read(changed(data("ecdsa", "plain"), rsa_as_ec)).open(None)


def test_what_is_too_large_or_not_base64_is_malformed() -> None:
    for raw in (
        b"x" * 2_000_000,
        data("ecdsa", "plain").replace(b"MI", b"M=", 1),
        data("ecdsa", "plain").replace(b"targets", b"\xff"),
    ):
        with pytest.raises(KeyFileMalformed):
            read_private_blocks(raw, place="a.key")


def test_the_content_stays_out_of_what_is_printed() -> None:
    assert "MI" not in repr(read(data("rsa", "plain")))


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_what_is_written_for_them_opens(algorithm: Algorithm) -> None:
    private = generate(algorithm)
    written = write_notary_key_file(private, role="targets", gun="example.com/app", passphrase=PASSPHRASE)
    file = read(written)
    assert (file.role, file.gun, file.encrypted) == ("targets", "example.com/app", True)
    assert file.open(PASSPHRASE).public_key() == private.public_key()
    with pytest.raises(PassphraseWrong):
        file.open(b"another")


def test_a_key_is_not_written_for_them_without_a_passphrase() -> None:
    with pytest.raises(PassphraseMissing):
        write_notary_key_file(generate(), role="root", gun="", passphrase=b"")
