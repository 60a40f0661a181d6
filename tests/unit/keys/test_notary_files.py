"""Key files of docker and notary: every quirk of them opens, and nothing else does."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keys import notary_files
from keys.algorithms import Algorithm, generate
from keys.errors import KeyFileMalformed, KeyNotAccepted, PassphraseMissing, PassphraseWrong
from keys.material import MAX_KEY_FILE
from keys.notary import bare_key
from keys.notary_files import (
    NotaryKeyFile,
    _EncryptedPrivateKeyInfo,
    _private_key_info,
    _PrivateKeyInfo,
    read_notary_key_file,
    write_notary_key_file,
)

FOLDER = Path(__file__).parents[2] / "vectors" / "notary_v1"
KEYS: list[dict[str, Any]] = json.loads((FOLDER / "keys.json").read_text())
PASSPHRASE = b"vector-pass"
ALGORITHMS = [vector["Alg"] for vector in KEYS]


def data(algorithm: str, form: str) -> bytes:
    return (FOLDER / "keys" / f"{algorithm}.{form}.key").read_bytes()


def read(raw: bytes) -> NotaryKeyFile:
    found = read_notary_key_file(raw, place="a.key")
    assert found is not None
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
    for none in (None, b""):
        with pytest.raises(PassphraseMissing) as missing:
            file.open(none)
        assert (missing.value.key, missing.value.sources) == ("a.key", ())
    for number in range(300):  # one in 256 leaves sound padding behind
        with pytest.raises(PassphraseWrong) as caught:
            file.open(f"wrong {number}".encode())
        assert caught.value.key == "a.key"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("form", ["plain", "encrypted"])
def test_cut_or_lengthened_content_is_malformed(algorithm: str, form: str) -> None:
    for change in (lambda c: c.pop(), lambda c: c.append(0), lambda c: c.__setitem__(0, 0x31)):
        with pytest.raises(KeyFileMalformed, match="its content is cut or altered") as caught:
            read(changed(data(algorithm, form), change)).open(PASSPHRASE)
        assert caught.value.place == "a.key"


@pytest.mark.parametrize("at", [-1, -32, -33, -40, -64, -65, -70, -96])
def test_an_ed25519_key_whose_halves_disagree_is_no_key(at: int) -> None:
    def flip(content: bytearray) -> None:
        content[at] ^= 1

    with pytest.raises(KeyFileMalformed, match="no private key in it") as caught:
        read(changed(data("ed25519", "plain"), flip)).open(None)
    assert caught.value.place == "a.key"


def test_another_algorithm_or_encryption_is_not_accepted() -> None:
    x25519 = base64.b64decode("MC4CAQAwBQYDK2VuBCIEIHCQRW0fH3wn1OCRgi0UOX0wSE8g0aqj+Jz2cnVtZTVT")
    head = b"-----BEGIN PRIVATE KEY-----\nrole: targets\n\n"
    with pytest.raises(KeyNotAccepted, match="its algorithm is not supported") as caught:
        read(head + base64.encodebytes(x25519) + b"-----END PRIVATE KEY-----\n").open(None)
    assert caught.value.key == "a.key"

    for oid, last in (
        ("60864801650304012a", 0x16),  # AES-192
        ("2a864886f70d01050d", 0x0E),  # not PBES2
        ("2a864886f70d01050c", 0x0E),  # not PBKDF2
    ):

        def other_encryption(content: bytearray, oid: str = oid, last: int = last) -> None:
            content[content.index(bytes.fromhex(oid)) + 8] = last

        with pytest.raises(KeyNotAccepted, match="its encryption is not supported") as caught:
            read(changed(data("ecdsa", "encrypted"), other_encryption)).open(PASSPHRASE)
        assert caught.value.key == "a.key"


def test_a_curve_that_is_not_accepted_is_named() -> None:
    foreign = ec.generate_private_key(ec.SECP521R1())

    def other_curve(content: bytearray) -> None:
        info = asn1.decode_der(_PrivateKeyInfo, bytes(content))
        info.private_key = foreign.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        content[:] = asn1.encode_der(info)

    with pytest.raises(KeyNotAccepted, match="curve secp521r1") as caught:
        read(changed(data("ecdsa", "plain"), other_curve)).open(None)
    assert caught.value.key == "a.key"


@pytest.mark.parametrize(
    ("iterations", "begun"),
    [(-1, False), (0, False), (1, True), (10_000_000, True), (10_000_001, False), (2**62, False)],
)
def test_a_derivation_that_would_take_for_ever_is_not_begun(
    monkeypatch: pytest.MonkeyPatch, *, iterations: int, begun: bool
) -> None:
    class Begun(Exception):
        pass

    def counted(*, iterations: int, **_: object) -> None:
        raise Begun(iterations)

    def many(content: bytearray) -> None:
        info = asn1.decode_der(_EncryptedPrivateKeyInfo, bytes(content))
        info.algorithm.parameters.derivation.parameters.iterations = iterations
        content[:] = asn1.encode_der(info)

    monkeypatch.setattr(notary_files, "PBKDF2HMAC", counted)
    with pytest.raises(Begun if begun else KeyNotAccepted, match=str(iterations) if begun else "its encryption"):
        read(changed(data("ecdsa", "encrypted"), many)).open(PASSPHRASE)


@pytest.mark.parametrize("size", [64, 95, 97])
def test_an_ed25519_key_of_another_size_is_no_key(size: int) -> None:
    def resized(content: bytearray) -> None:
        info = asn1.decode_der(_PrivateKeyInfo, bytes(content))
        info.private_key = (info.private_key * 2)[:size]
        content[:] = asn1.encode_der(info)

    with pytest.raises(KeyFileMalformed, match="no private key in it"):
        read(changed(data("ed25519", "plain"), resized)).open(None)


def test_an_algorithm_that_is_none() -> None:
    def no_algorithm(content: bytearray) -> None:
        info = asn1.decode_der(_PrivateKeyInfo, bytes(content))
        info.algorithm = asn1.decode_der(asn1.TLV, b"\x30\x02\x05\x00")
        content[:] = asn1.encode_der(info)

    with pytest.raises(KeyFileMalformed, match="no private key in it"):
        read(changed(data("ecdsa", "plain"), no_algorithm)).open(None)


def test_a_key_that_is_another_than_its_algorithm_says_is_no_key() -> None:
    def rsa_as_ec(content: bytearray) -> None:
        info = asn1.decode_der(_PrivateKeyInfo, bytes(content))
        info.private_key = read_info("rsa").private_key
        content[:] = asn1.encode_der(info)

    def read_info(algorithm: str) -> _PrivateKeyInfo:
        return asn1.decode_der(_PrivateKeyInfo, read(data(algorithm, "plain")).content)

    def ec_as_rsa(content: bytearray) -> None:
        info = asn1.decode_der(_PrivateKeyInfo, bytes(content))
        info.private_key = read_info("ecdsa").private_key
        content[:] = asn1.encode_der(info)

    for algorithm, change in (("ecdsa", rsa_as_ec), ("rsa", ec_as_rsa)):
        with pytest.raises(KeyFileMalformed, match="no private key in it"):
            read(changed(data(algorithm, "plain"), change)).open(None)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no key",
        data("ecdsa", "plain").replace(b"role: targets\n", b""),
        data("ecdsa", "plain").replace(b"role: targets\n", b"").replace(b"gun: docker.io/library/vector\n\n", b""),
        data("ecdsa", "plain").replace(b"PRIVATE", b"PUBLIC"),
        data("ecdsa", "plain") * 2,
    ],
)
def test_other_files_are_none_of_notary_s(raw: bytes) -> None:
    assert read_notary_key_file(raw, place="a.key") is None


def test_what_is_too_large_or_not_base64_is_malformed() -> None:
    plain = data("ecdsa", "plain")
    for raw, reason in (
        (b"x" * (MAX_KEY_FILE + 1), "larger than 65536 bytes"),
        (plain.replace(b"\n\nM", b"\n\n=M", 1), "its PEM is not base64, or its headers are no text"),
        (plain.replace(b"MI", b"M=", 1), "its PEM is not base64, or its headers are no text"),
        (plain.replace(b"targets", b"\xff"), "its PEM is not base64, or its headers are no text"),
    ):
        with pytest.raises(KeyFileMalformed) as caught:
            read_notary_key_file(raw, place="a.key")
        assert (caught.value.place, caught.value.reason) == ("a.key", reason)
    assert read_notary_key_file(b"x" * MAX_KEY_FILE, place="a.key") is None


def test_a_header_is_what_stands_after_the_first_colon() -> None:
    plain = data("ecdsa", "plain")
    gun = next(line for line in plain.splitlines() if line.startswith(b"gun: "))
    assert read(plain.replace(gun, b"gun: a: b")).gun == "a: b"
    file = read(plain.replace(gun + b"\n", b""))
    assert (file.gun, file.place) == ("", "a.key")


def test_the_content_stays_out_of_what_is_printed() -> None:
    assert "content" not in repr(read(data("rsa", "plain")))


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
    with pytest.raises(PassphraseMissing) as caught:
        write_notary_key_file(generate(), role="root", gun="", passphrase=b"")
    assert (caught.value.key, caught.value.sources) == ("the exported key", ())


@pytest.mark.parametrize("algorithm", ["ecdsa", "ed25519"])
def test_what_is_sealed_in_it_is_theirs(algorithm: str) -> None:
    """RSA keys are plain PKCS#8, which every library writes in its own way."""
    plain = read(data(algorithm, "plain"))
    theirs = asn1.decode_der(_PrivateKeyInfo, plain.content)
    ours = asn1.decode_der(_PrivateKeyInfo, _private_key_info(plain.open(None)))
    assert ours.private_key == theirs.private_key
    assert asn1.encode_der(ours.algorithm) == asn1.encode_der(theirs.algorithm)
    assert ours.version == 1


@pytest.mark.parametrize(
    ("gun", "head"), [("", ["role: root"]), ("example.com/a", ["gun: example.com/a", "role: root"])]
)
def test_how_it_is_written(gun: str, head: list[str]) -> None:
    private = generate(Algorithm.ED25519)
    written = write_notary_key_file(private, role="root", gun=gun, passphrase=PASSPHRASE).decode()
    assert written.endswith("-----END ENCRYPTED PRIVATE KEY-----\n")
    first, *headers, last = written.split("\n\n")[0].splitlines()
    assert (first, [*headers, last]) == ("-----BEGIN ENCRYPTED PRIVATE KEY-----", head)
    *full, rest = written.split("\n\n")[1].splitlines()[:-1]
    assert {len(line) for line in full} == {64}
    assert 0 < len(rest) <= 64
    info = asn1.decode_der(_EncryptedPrivateKeyInfo, read(written.encode()).content)
    derivation = info.algorithm.parameters.derivation.parameters
    assert (len(derivation.salt), derivation.iterations) == (8, 100_000)
    again = write_notary_key_file(private, role="root", gun=gun, passphrase=PASSPHRASE)
    other = asn1.decode_der(_EncryptedPrivateKeyInfo, read(again).content).algorithm.parameters
    assert other.derivation.parameters.salt != derivation.salt
    assert other.encryption.iv != info.algorithm.parameters.encryption.iv
