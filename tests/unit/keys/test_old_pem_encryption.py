"""Keys of Docker 1.8 to 17.11: encrypted as a whole, with every cipher that Go and OpenSSL wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from keys.algorithms import Algorithm, PrivateKey, generate
from keys.errors import KeyFileMalformed, KeyNotAccepted, PassphraseMissing, PassphraseWrong
from keys.notary import bare_key
from keys.pem import PemBlock
from keys.private_blocks import PrivateKeyBlock, read_private_blocks
from tests.support.odd_keys import DOCKER_1_8, REPOSITORY_PASSPHRASE, ROOT_PASSPHRASE
from tests.support.old_docker_keys import DEK_CIPHERS, old_key_file

KEYS: dict[Algorithm, PrivateKey] = {a: generate(a) for a in Algorithm}


def read(raw: bytes) -> PrivateKeyBlock:
    [block] = read_private_blocks(raw, place="a.key")
    return block


@pytest.mark.parametrize("file", sorted(DOCKER_1_8.iterdir()), ids=lambda file: file.name[:8])
def test_the_folder_of_old_docker_opens_and_each_key_is_the_one_of_its_name(file: object) -> None:
    path = DOCKER_1_8 / str(file)
    block = read(path.read_bytes())
    passphrase = ROOT_PASSPHRASE if block.role == "root" else REPOSITORY_PASSPHRASE
    assert bare_key(block.open(passphrase.encode()).public_key()).keyid == path.stem
    for wrong in ("guess", passphrase + "\n"):
        with pytest.raises(PassphraseWrong) as caught:
            block.open(wrong.encode())
        assert caught.value.key == "a.key"
    with pytest.raises(PassphraseMissing) as missing:
        block.open(None)
    assert (missing.value.key, missing.value.sources) == ("a.key", ())


@pytest.mark.parametrize("cipher", list(DEK_CIPHERS))
@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_every_cipher_and_every_kind_of_key(algorithm: Algorithm, cipher: str) -> None:
    private = KEYS[algorithm]
    block = read(old_key_file(private, b"secret", cipher=cipher, headers={"role": "targets", "gun": "a/b"}))
    assert (block.role, block.gun, block.encrypted) == ("targets", "a/b", True)
    assert block.open(b"secret").public_key() == private.public_key()
    for number in range(300):  # one in 256 leaves sound padding behind
        with pytest.raises(PassphraseWrong):
            block.open(f"wrong {number}".encode())


def test_a_damaged_file_is_not_called_a_wrong_passphrase() -> None:
    raw = DOCKER_1_8.joinpath(next(f.name for f in DOCKER_1_8.iterdir() if f.name.startswith("069d"))).read_bytes()
    block = read(raw)

    def opened(content: bytes) -> None:
        PrivateKeyBlock(
            place="a.key",
            role="",
            gun="",
            encrypted=True,
            block=PemBlock(label=block.block.label, headers=block.block.headers, content=content),
        ).open(REPOSITORY_PASSPHRASE.encode())

    content = block.block.content
    for cut in (content[:-1], b"", content + b"x"):
        with pytest.raises(KeyFileMalformed, match="cut or altered") as caught:
            opened(cut)
        assert caught.value.place == "a.key"
    for altered in (content[:-16], content[:-20] + b"xxxx" + content[-16:], content[:-4] + b"xxxx"):
        with pytest.raises(KeyFileMalformed, match="the passphrase opens only a part") as caught:
            opened(altered)
        assert caught.value.place == "a.key"
    with pytest.raises(KeyFileMalformed):  # the middle of the key
        opened(content[:40] + bytes([content[40] ^ 1]) + content[41:])
    with pytest.raises(PassphraseWrong, match="or the file was altered") as wrong:  # its beginning: both look like this
        opened(b"xxxx" + content[4:])
    assert (wrong.value.key, wrong.value.or_altered) == ("a.key", True)


@pytest.mark.parametrize(
    ("change", "error", "reason"),
    [
        (
            lambda raw: raw.replace(b"DEK-Info: AES-256-CBC", b"DEK-Info: CAMELLIA-256-CBC"),
            KeyNotAccepted,
            "its encryption 'CAMELLIA-256-CBC' is not",
        ),
        (lambda raw: raw.replace(b"DEK-Info", b"DEK"), KeyFileMalformed, "its header DEK-Info is missing"),
        (lambda raw: raw.replace(b"AES-256-CBC,", b"AES-256-CBC,zz"), KeyFileMalformed, "cut or altered"),
        (lambda raw: raw.replace(b"AES-256-CBC,", b"AES-256-CBC,00"), KeyFileMalformed, "cut or altered"),
        (lambda raw: raw.replace(b"AES-256-CBC,", b"DES-CBC,"), KeyFileMalformed, "cut or altered"),
        (lambda raw: raw.replace(b"AES-256-CBC,", b"AES-256-CBC,00,"), KeyFileMalformed, "cut or altered"),
        (lambda raw: raw.replace(b"AES-256-CBC", b"X" * 50), KeyNotAccepted, f"its encryption '{'X' * 40}' is not"),
    ],
)
def test_headers_that_are_none_are_told(
    change: Callable[[bytes], bytes], error: type[KeyFileMalformed | KeyNotAccepted], reason: str
) -> None:
    raw = old_key_file(KEYS[Algorithm.ECDSA_P256], b"secret")
    with pytest.raises(error, match=reason) as caught:
        read(change(raw)).open(b"secret")
    assert "a.key" in caught.value.details().values()


def test_it_opens_where_md5_is_forbidden_for_security(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine, uses = hashlib.md5, list[bool]()

    def strict(data: bytes, *, usedforsecurity: bool = True) -> object:
        uses.append(usedforsecurity)
        return genuine(data, usedforsecurity=usedforsecurity)

    raw = old_key_file(KEYS[Algorithm.ECDSA_P256], b"secret")
    monkeypatch.setattr(hashlib, "md5", strict)
    read(raw).open(b"secret")
    assert uses == [False, False]


def test_the_header_of_go_alone_says_that_it_is_encrypted() -> None:
    raw = old_key_file(KEYS[Algorithm.ECDSA_P256], b"secret")
    block = read(raw.replace(b"Proc-Type: 4,ENCRYPTED\n", b""))
    assert block.open(b"secret").public_key() == KEYS[Algorithm.ECDSA_P256].public_key()


def test_a_label_that_is_another_key_s_is_told() -> None:
    for algorithm, label, reason in (
        (Algorithm.RSA, b"EC", "it says EC PRIVATE KEY and holds another key"),
        (Algorithm.ECDSA_P256, b"RSA", "it says RSA PRIVATE KEY and holds another key"),
        (Algorithm.ECDSA_P384, b"ED25519", "no private key in it"),
    ):
        own = b"RSA" if algorithm is Algorithm.RSA else b"EC"
        raw = old_key_file(KEYS[algorithm], b"secret").replace(own + b" PRIVATE", label + b" PRIVATE")
        with pytest.raises(KeyFileMalformed) as caught:
            read(raw).open(b"secret")
        assert (caught.value.place, caught.value.reason) == ("a.key", reason)
