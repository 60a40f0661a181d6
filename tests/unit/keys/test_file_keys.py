"""Keys that stay in their file: on a stick, in a mounted secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from keys import sealed_file
from keys.algorithms import Algorithm, generate
from keys.errors import KeyFileExposed, KeyFileMalformed, KeyFileMissing, KeyUriMalformed
from keys.key_info import KeyInfo
from keys.material import write_private_pem
from keys.passphrase import EnvironmentPassphrases
from keys.uris.file_keys import FileKeys
from tests.support.cheap_keys import CHEAP

KEYS = FileKeys()
ROOTS = EnvironmentPassphrases({"TRUST_ROOT_PASSPHRASE": "secret"}, None)
PRIVATE = generate()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my key.pem"
    path.write_bytes(write_private_pem(PRIVATE, b"secret"))
    path.chmod(0o600)
    return path


def uri(file: Path) -> str:
    return f"file:{str(file).replace(' ', '%20')}"


def test_a_file_is_opened_with_the_passphrase_of_what_the_key_is_for(file: Path) -> None:
    found = KEYS.find(uri(file), ROOTS, "root")
    assert (found.public, found.uri) == (PRIVATE.public_key(), uri(file))
    assert KEYS.open(uri(file), found.public, ROOTS, "root").public_key() == found.public


def test_a_sealed_file_is_one_too(file: Path) -> None:
    info = KeyInfo.of(PRIVATE, purpose="root")
    file.write_bytes(sealed_file.seal(PRIVATE, "secret", info=info, cost=CHEAP))
    assert KEYS.find(uri(file), ROOTS, "root").public == PRIVATE.public_key()


def test_a_file_with_another_key_is_refused(file: Path) -> None:
    with pytest.raises(KeyFileMalformed, match="it holds another key than the one that is recorded") as caught:
        KEYS.open(uri(file), generate().public_key(), ROOTS, "root")
    assert caught.value.place == str(file)


def test_files_that_are_not_there_or_that_others_may_read(file: Path) -> None:
    file.write_bytes(write_private_pem(PRIVATE, None))
    file.chmod(0o644)
    with pytest.raises(KeyFileExposed):
        KEYS.find(uri(file), ROOTS, "root")
    file.unlink()
    with pytest.raises(KeyFileMissing, match="does not exist"):
        KEYS.find(uri(file), ROOTS, "root")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("file:key.pem", ": what follows file: is an absolute path"),
        ("file://host/key.pem", ": what follows file: is an absolute path"),
        ("file:/a?b", "are written as %3F and %23"),
        ("file:/a#b", "are written as %3F and %23"),
    ],
)
def test_uris_that_name_no_file(text: str, reason: str) -> None:
    with pytest.raises(KeyUriMalformed, match=reason) as caught:
        KEYS.check(text)
    assert caught.value.uri == text


def test_no_key_is_made_in_a_file() -> None:
    with pytest.raises(KeyUriMalformed, match="trust key export make one") as caught:
        KEYS.make("file:/a", Algorithm.RSA, "a", ROOTS, "root")
    assert caught.value.uri == "file:/a"
