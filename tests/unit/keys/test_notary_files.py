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

from keys import pkcs8
from keys.algorithms import Algorithm, generate
from keys.errors import KeyFileMalformed, KeyNotAccepted, KeyNotCounted, PassphraseMissing, PassphraseWrong
from keys.notary import bare_key
from keys.notary_files import write_notary_key_file
from keys.pem import MAX_KEY_FILE
from keys.pkcs8 import EncryptedPrivateKeyInfo, PrivateKeyInfo, _Pbes2, _Pbes2Parameters, notary_private_key_info
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
    with pytest.raises(KeyNotAccepted, match="neither ECDSA, Ed25519 nor RSA") as caught:
        read(head + base64.encodebytes(x25519) + b"-----END PRIVATE KEY-----\n").open(None)
    assert caught.value.key == "a.key"

    for oid, last in (
        ("60864801650304012a", 0x2B),  # another mode of AES than CBC
        ("2a864886f70d01050d", 0x0E),  # not PBES2
        ("2a864886f70d01050c", 0x0E),  # not PBKDF2
    ):

        def other_encryption(content: bytearray, oid: str = oid, last: int = last) -> None:
            content[content.index(bytes.fromhex(oid)) + 8] = last

        with pytest.raises(KeyNotAccepted, match="its encryption is not supported") as caught:
            read(changed(data("ecdsa", "encrypted"), other_encryption)).open(PASSPHRASE)
        assert caught.value.key == "a.key"


def test_an_algorithm_that_no_library_knows_is_named_as_not_supported() -> None:
    def other(content: bytearray) -> None:
        at = content.index(bytes.fromhex("2b06010401da470f01"))  # GnuPG's Ed25519
        content[at + 8] = 2

    with pytest.raises(KeyNotAccepted, match="its algorithm is not supported") as caught:
        read(changed(data("ed25519", "plain"), other)).open(None)
    assert caught.value.key == "a.key"


def test_a_curve_that_is_not_accepted_is_named() -> None:
    foreign = ec.generate_private_key(ec.SECP521R1())

    def other_curve(content: bytearray) -> None:
        info = asn1.decode_der(PrivateKeyInfo, bytes(content))
        info.private_key = foreign.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        content[:] = asn1.encode_der(info)

    with pytest.raises(KeyNotCounted, match="curve secp521r1") as caught:
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
        info = asn1.decode_der(EncryptedPrivateKeyInfo, bytes(content))
        method: _Pbes2 = info.algorithm.parse(_Pbes2)
        method.parameters.derivation.parameters.iterations = iterations
        info.algorithm = asn1.decode_der(asn1.TLV, asn1.encode_der(method))
        content[:] = asn1.encode_der(info)

    monkeypatch.setattr(pkcs8, "PBKDF2HMAC", counted)
    with pytest.raises(Begun if begun else KeyNotAccepted, match=str(iterations) if begun else "iterations") as caught:
        read(changed(data("ecdsa", "encrypted"), many)).open(PASSPHRASE)
    if not begun:
        assert isinstance(caught.value, KeyNotAccepted)
        assert caught.value.key == "a.key"


@pytest.mark.parametrize("size", [64, 95, 97])
def test_an_ed25519_key_of_another_size_is_no_key(size: int) -> None:
    def resized(content: bytearray) -> None:
        info = asn1.decode_der(PrivateKeyInfo, bytes(content))
        info.private_key = (info.private_key * 2)[:size]
        content[:] = asn1.encode_der(info)

    with pytest.raises(KeyFileMalformed, match="no private key in it"):
        read(changed(data("ed25519", "plain"), resized)).open(None)


def test_an_algorithm_that_is_none() -> None:
    def no_algorithm(content: bytearray) -> None:
        info = asn1.decode_der(PrivateKeyInfo, bytes(content))
        info.algorithm = asn1.decode_der(asn1.TLV, b"\x30\x02\x05\x00")
        content[:] = asn1.encode_der(info)

    with pytest.raises(KeyFileMalformed, match="no private key in it"):
        read(changed(data("ecdsa", "plain"), no_algorithm)).open(None)


def test_a_key_that_is_another_than_its_algorithm_says_is_no_key() -> None:
    def rsa_as_ec(content: bytearray) -> None:
        info = asn1.decode_der(PrivateKeyInfo, bytes(content))
        info.private_key = read_info("rsa").private_key
        content[:] = asn1.encode_der(info)

    def read_info(algorithm: str) -> PrivateKeyInfo:
        return asn1.decode_der(PrivateKeyInfo, read(data(algorithm, "plain")).block.content)

    def ec_as_rsa(content: bytearray) -> None:
        info = asn1.decode_der(PrivateKeyInfo, bytes(content))
        info.private_key = read_info("ecdsa").private_key
        content[:] = asn1.encode_der(info)

    for algorithm, change in (("ecdsa", rsa_as_ec), ("rsa", ec_as_rsa)):
        with pytest.raises(KeyFileMalformed, match="no private key in it"):
            read(changed(data(algorithm, "plain"), change)).open(None)


def test_what_is_too_large_or_not_base64_is_malformed() -> None:
    plain = data("ecdsa", "plain")
    for raw, reason in (
        (plain + b"x" * (MAX_KEY_FILE + 1 - len(plain)), "larger than 65536 bytes"),
        (plain.replace(b"\n\nM", b"\n\n=M", 1), "its PEM is not base64: cut or altered"),
        (plain.replace(b"MI", b"M=", 1), "its PEM is not base64: cut or altered"),
        (plain.replace(b"targets", b"\xff"), "its headers are no text"),
    ):
        with pytest.raises(KeyFileMalformed) as caught:
            read_private_blocks(raw, place="a.key")
        assert (caught.value.place, caught.value.reason) == ("a.key", reason)
    assert read(plain + b"x" * (MAX_KEY_FILE - len(plain))).role == "targets"


def test_a_header_is_what_stands_after_the_first_colon() -> None:
    plain = data("ecdsa", "plain")
    gun = next(line for line in plain.splitlines() if line.startswith(b"gun: "))
    assert read(plain.replace(gun, b"gun: a: b")).gun == "a: b"
    assert read(b" ".join(plain.replace(gun, b"gun: a:b").split())).gun == "a:b"
    file = read(plain.replace(gun + b"\n", b""))
    assert (file.gun, file.place) == ("", "a.key")
    anybody_s = read(plain.replace(b"role: targets\n", b""))
    assert (anybody_s.role, anybody_s.gun) == ("", "docker.io/library/vector")


def test_the_content_stays_out_of_what_is_printed() -> None:
    assert "MI" not in repr(read(data("rsa", "plain")))
    assert "block" not in repr(read(data("rsa", "plain")))


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
    theirs = asn1.decode_der(PrivateKeyInfo, plain.block.content)
    ours = asn1.decode_der(PrivateKeyInfo, notary_private_key_info(plain.open(None)))
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
    parameters = _encryption(written)
    derivation = parameters.derivation.parameters
    assert (len(derivation.salt), derivation.iterations) == (8, 100_000)
    other = _encryption(write_notary_key_file(private, role="root", gun=gun, passphrase=PASSPHRASE).decode())
    assert other.derivation.parameters.salt != derivation.salt
    assert other.encryption.iv != parameters.encryption.iv


def _encryption(written: str) -> _Pbes2Parameters:
    info = asn1.decode_der(EncryptedPrivateKeyInfo, read(written.encode()).block.content)
    method: _Pbes2 = info.algorithm.parse(_Pbes2)
    return method.parameters
