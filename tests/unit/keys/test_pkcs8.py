"""PKCS#8 under the encryptions of other programs: read, refused by name, and never begun if it would take for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier

from keys import pkcs8
from keys.errors import KeyFileMalformed, KeyNotAccepted, PassphraseWrong
from keys.pem import PemBlock, read_pem, write_pem
from keys.pkcs8 import EncryptedPrivateKeyInfo, _Pbes1, _Pbes2, _ScryptPbes2, decrypt
from keys.private_blocks import read_private_pem
from tests.support.odd_keys import ODD_KEYS
from trustcli.console.failure_table import row_for

FOLDER = ODD_KEYS / "openssl"
READ = ("pbes1-3des", "pbes2-3des-sha1", "pbes2-aes128-sha256", "pbes2-aes192-sha512", "scrypt")
PLAIN = (FOLDER / "plain.pem").read_bytes()


def pem(name: str) -> bytes:
    return (FOLDER / f"{name}.pem").read_bytes()


@pytest.mark.parametrize("name", READ)
def test_what_openssl_encrypts_opens_with_its_passphrase_only(name: str) -> None:
    key = read_private_pem(pem(name), b"secret", place="p")
    assert key.public_key() == read_private_pem(PLAIN, None, place="p").public_key()
    with pytest.raises(PassphraseWrong) as caught:
        read_private_pem(pem(name), b"secret\n", place="p")
    # Of PBES2 our own padding check tells the two apart; the library does not.
    assert caught.value.details() == {"key": "p", "or_altered": not name.startswith("pbes2")}


@pytest.mark.parametrize("name", ["pbes1-rc2", "pbes2-camellia"])
def test_another_encryption_is_not_called_a_wrong_passphrase(name: str) -> None:
    with pytest.raises(KeyNotAccepted, match="its encryption is not supported") as caught:
        read_private_pem(pem(name), b"secret", place="p")
    assert caught.value.key == "p"
    assert "openssl pkey" in row_for(caught.value).advice(caught.value)


def altered(name: str, kind: type[Any], change: Callable[[Any], object]) -> bytes:
    """The key with other parameters of its encryption."""
    info = asn1.decode_der(EncryptedPrivateKeyInfo, read_pem(pem(name), place="p")[0].content)
    method = info.algorithm.parse(kind)
    change(method.parameters)
    info.algorithm = asn1.decode_der(asn1.TLV, asn1.encode_der(method))
    return asn1.encode_der(info)


def _set(path: str, value: object) -> Callable[[Any], object]:
    *steps, last = path.split(".")

    def change(parameters: Any) -> None:
        for step in steps:
            parameters = getattr(parameters, step)
        setattr(parameters, last, value)

    return change


@pytest.mark.parametrize(
    ("name", "kind", "path", "value"),
    [
        ("pbes2-aes128-sha256", _Pbes2, "derivation.parameters.iterations", 10**9),
        ("pbes2-aes128-sha256", _Pbes2, "derivation.parameters.iterations", 0),
        ("pbes2-aes128-sha256", _Pbes2, "derivation.parameters.iterations", -1),
        ("pbes1-3des", _Pbes1, "iterations", 10**9),
        ("scrypt", _ScryptPbes2, "derivation.parameters.n", 2**40),
        ("scrypt", _ScryptPbes2, "derivation.parameters.p", 10**6),
        ("scrypt", _ScryptPbes2, "derivation.parameters.p", -1),
        ("scrypt", _ScryptPbes2, "derivation.parameters.r", 2**30),
        ("pbes2-aes128-sha256", _Pbes2, "derivation.parameters.key_bytes", 2**30),
    ],
)
def test_a_derivation_that_would_take_for_ever_is_not_begun(
    name: str, kind: type[Any], path: str, value: object
) -> None:
    with pytest.raises(KeyNotAccepted, match="encryption") as caught:
        decrypt(altered(name, kind, _set(path, value)), b"secret", place="p")
    assert caught.value.key == "p"


class Begun(Exception):
    """The derivation was begun."""


@pytest.fixture
def nothing_is_derived(monkeypatch: pytest.MonkeyPatch) -> None:
    def begun(*_: object, **__: object) -> None:
        raise Begun

    monkeypatch.setattr(pkcs8, "load_der_private_key", begun)
    monkeypatch.setattr(pkcs8, "PBKDF2HMAC", begun)


def _cost(n: int, r: int, p: int) -> Callable[[Any], object]:
    def change(parameters: Any) -> None:
        cost = parameters.derivation.parameters
        cost.n, cost.r, cost.p = n, r, p

    return change


@pytest.mark.usefixtures("nothing_is_derived")
@pytest.mark.parametrize(
    ("n", "r", "p", "refused"),
    [
        (2, 1, 1, None),
        (1 << 15, 1, 1, None),
        (1 << 17, 2, 1, None),
        (1 << 18, 8, 1, None),
        (1 << 18, 8, 2, None),
        (1 << 18, 8, 3, "for ever"),
        (1 << 19, 8, 1, "for ever"),
        (1 << 40, 8, 1, "for ever"),
        (2, 1, (1 << 21) + 1, "for ever"),
        # What OpenSSL fails on.
        (0, 8, 1, "not supported"),
        (1, 8, 1, "not supported"),
        (3, 8, 1, "not supported"),
        (-2, 8, 1, "not supported"),
        (-2, -8, 1, "not supported"),
        (1 << 16, 1, 1, "not supported"),
        (2, 0, 1, "not supported"),
        (2, 1, 0, "not supported"),
        (2, 1, -1, "not supported"),
    ],
)
def test_which_costs_of_scrypt_are_begun(n: int, r: int, p: int, refused: str | None) -> None:
    with pytest.raises(Begun if refused is None else KeyNotAccepted, match=refused) as caught:
        decrypt(altered("scrypt", _ScryptPbes2, _cost(n, r, p)), b"secret", place="p")
    if refused is not None:
        assert isinstance(caught.value, KeyNotAccepted)
        assert caught.value.key == "p"


@pytest.mark.usefixtures("nothing_is_derived")
@pytest.mark.parametrize(
    ("iterations", "begun"), [(-1, False), (0, False), (1, True), (10_000_000, True), (10_000_001, False)]
)
def test_which_iterations_of_pbes1_are_begun(iterations: int, *, begun: bool) -> None:
    with pytest.raises(Begun if begun else KeyNotAccepted, match=None if begun else "1 to 10000000 iterations"):
        decrypt(altered("pbes1-3des", _Pbes1, _set("iterations", iterations)), b"secret", place="p")


@pytest.mark.usefixtures("nothing_is_derived")
@pytest.mark.parametrize(
    ("name", "kind", "path", "oid"),
    [
        ("scrypt", _ScryptPbes2, "encryption.oid", "1.2.392.200011.61.1.1.1.4"),  # Camellia
        ("scrypt", _ScryptPbes2, "derivation.oid", "1.3.6.1.4.1.11591.4.12"),
        ("pbes2-aes128-sha256", _Pbes2, "encryption.oid", "1.2.392.200011.61.1.1.1.4"),
        ("pbes2-aes128-sha256", _Pbes2, "derivation.oid", "1.2.840.113549.1.5.11"),
        ("pbes2-aes128-sha256", _Pbes2, "derivation.parameters.function.oid", "1.2.840.113549.2.5"),
    ],
)
def test_every_part_of_an_encryption_must_be_known(name: str, kind: type[Any], path: str, oid: str) -> None:
    with pytest.raises(KeyNotAccepted, match="its encryption is not supported") as caught:
        decrypt(altered(name, kind, _set(path, ObjectIdentifier(oid))), b"secret", place="p")
    assert caught.value.key == "p"
    with pytest.raises(Begun):
        decrypt(altered(name, kind, lambda _: None), b"secret", place="p")


def test_content_that_is_no_whole_number_of_blocks_is_cut() -> None:
    info = asn1.decode_der(EncryptedPrivateKeyInfo, read_pem(pem("pbes2-aes128-sha256"), place="p")[0].content)
    for encrypted in (info.encrypted[:-1], b""):
        info.encrypted = encrypted
        with pytest.raises(KeyFileMalformed, match="cut or altered") as caught:
            decrypt(asn1.encode_der(info), b"secret", place="p")
        assert caught.value.place == "p"
    short = altered("pbes2-aes128-sha256", _Pbes2, _set("encryption.iv", b"short"))
    for content in (short, b"\x30\x00"):
        with pytest.raises(KeyFileMalformed, match="cut or altered") as caught:
            decrypt(content, b"secret", place="p")
        assert caught.value.place == "p"


def test_an_encryption_that_is_none_of_the_known_forms_is_told() -> None:
    info = asn1.decode_der(EncryptedPrivateKeyInfo, read_pem(pem("scrypt"), place="p")[0].content)
    info.algorithm = asn1.decode_der(asn1.TLV, bytes.fromhex("300306012a"))
    with pytest.raises(KeyNotAccepted, match="its encryption is not supported"):
        decrypt(asn1.encode_der(info), b"secret", place="p")


OTHER_CURVE = b"""\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGzME8GCSqGSIb3DQEFDTBCMCEGCSsGAQQB2kcECzAUBAgp7ddjnNXi5gICQAAC
AQgCAQEwHQYJYIZIAWUDBAEqBBDI4vZmyztq9eOC4uji2BTKBGB2KGnkkUdwfrWN
D6dXGIPYSN3Lnx86bG7lJdUQgz8W7Ci8Zwvw7p5lMfC4JuhtzcOyLwjUzBxerskK
Ors0plzEnok0aeGotX4IB755a2A9Oi/JQPtWVDdBEEcpbYvVNtc=
-----END ENCRYPTED PRIVATE KEY-----
"""
"""A key of the curve secp112r1: openssl pkcs8 -topk8 -scrypt -passout pass:secret"""


def test_a_key_of_an_unknown_algorithm_is_told_as_such_however_it_is_encrypted() -> None:
    with pytest.raises(PassphraseWrong):
        read_private_pem(OTHER_CURVE, b"wrong", place="p")
    [plain] = read_pem(PLAIN, place="p")
    curve = bytes.fromhex("2a8648ce3d030107")
    assert plain.content.count(curve) == 1
    other = plain.content.replace(curve, bytes.fromhex("2a8648ce3d03017f"))
    block = PemBlock(label="PRIVATE KEY", headers={}, content=other)
    for data, passphrase in ((OTHER_CURVE, b"secret"), (write_pem([block]), None)):
        with pytest.raises(KeyNotAccepted, match="its algorithm is not supported") as caught:
            read_private_pem(data, passphrase, place="p")
        assert caught.value.key == "p"
