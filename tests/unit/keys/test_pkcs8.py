"""PKCS#8 under the encryptions of other programs: read, refused by name, and never begun if it would take for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat import asn1

from keys.errors import KeyFileMalformed, KeyNotAccepted, PassphraseWrong
from keys.pem import PemBlock, read_pem, write_pem
from keys.pkcs8 import EncryptedPrivateKeyInfo, _Pbes1, _Pbes2, _ScryptPbes2, decrypt
from keys.private_blocks import read_private_pem
from tests.support.odd_keys import ODD_KEYS

FOLDER = ODD_KEYS / "openssl"
READ = ("pbes1-3des", "pbes2-3des-sha1", "pbes2-aes128-sha256", "pbes2-aes192-sha512", "scrypt")
PLAIN = (FOLDER / "plain.pem").read_bytes()


def pem(name: str) -> bytes:
    return (FOLDER / f"{name}.pem").read_bytes()


@pytest.mark.parametrize("name", READ)
def test_what_openssl_encrypts_opens_with_its_passphrase_only(name: str) -> None:
    key = read_private_pem(pem(name), b"secret", place="p")
    assert key.public_key() == read_private_pem(PLAIN, None, place="p").public_key()
    with pytest.raises(PassphraseWrong):
        read_private_pem(pem(name), b"secret\n", place="p")


@pytest.mark.parametrize("name", ["pbes1-rc2", "pbes2-camellia"])
def test_another_encryption_is_not_called_a_wrong_passphrase(name: str) -> None:
    with pytest.raises(KeyNotAccepted, match="its encryption is not supported"):
        read_private_pem(pem(name), b"secret", place="p")


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
    with pytest.raises(KeyNotAccepted, match="encryption"):
        decrypt(altered(name, kind, _set(path, value)), b"secret", place="p")


def test_content_that_is_no_whole_number_of_blocks_is_cut() -> None:
    info = asn1.decode_der(EncryptedPrivateKeyInfo, read_pem(pem("pbes2-aes128-sha256"), place="p")[0].content)
    for encrypted in (info.encrypted[:-1], b""):
        info.encrypted = encrypted
        with pytest.raises(KeyFileMalformed, match="cut or altered"):
            decrypt(asn1.encode_der(info), b"secret", place="p")
    with pytest.raises(KeyFileMalformed, match="cut or altered"):
        decrypt(altered("pbes2-aes128-sha256", _Pbes2, _set("encryption.iv", b"short")), b"secret", place="p")
    with pytest.raises(KeyFileMalformed, match="cut or altered"):
        decrypt(b"\x30\x00", b"secret", place="p")


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
        with pytest.raises(KeyNotAccepted, match="its algorithm is not supported"):
            read_private_pem(data, passphrase, place="p")


def test_numbers_of_scrypt_that_do_not_fit_together_are_an_altered_file() -> None:
    changed = altered("scrypt", _ScryptPbes2, _set("derivation.parameters.n", 3))
    with pytest.raises(KeyFileMalformed, match="cut or altered"):
        decrypt(changed, b"secret", place="p")
