"""The recovery key file."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keys import recovery_file
from keys.algorithms import Algorithm, generate
from keys.errors import (
    KeyExists,
    KeyFileExposed,
    KeyFileMalformed,
    KeyFileMissing,
    KeyFileUnreadable,
    KeyFileUnwritable,
    PassphraseMissing,
    PassphraseWrong,
)
from keys.material import tuf_key, write_private_pem
from keys.passphrase import EnvironmentPassphrases
from keys.pem import MAX_KEY_FILE
from tests.support.cheap_keys import CHEAP
from tests.support.prompted_person import Person

NOBODY = EnvironmentPassphrases({}, None)


def given(passphrase: str) -> EnvironmentPassphrases:
    return EnvironmentPassphrases({"TRUST_RECOVERY_PASSPHRASE": passphrase}, None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recovery.key"


@pytest.mark.parametrize("algorithm", [Algorithm.ECDSA_P256, Algorithm.ED25519])
def test_a_new_file_is_read_back(path: Path, algorithm: Algorithm) -> None:
    info = recovery_file.create(path, "secret", algorithm, created=datetime(2026, 1, 1, tzinfo=UTC), cost=CHEAP)
    assert (info.purpose, info.algorithm) == ("recovery", algorithm)
    assert tuf_key(recovery_file.read(path, given("secret"))) == info.public
    assert recovery_file.read_public_key(path, NOBODY) == info.public
    assert path.stat().st_mode & 0o7777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_an_existing_file_is_never_touched(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b"holiday pictures")
    with pytest.raises(KeyExists, match=str(path)):
        recovery_file.create(path, "secret", cost=CHEAP)
    monkeypatch.setattr("os.path.lexists", lambda _: False)  # made between the look and the write
    with pytest.raises(KeyExists, match=str(path)):
        recovery_file.create(path, "secret", cost=CHEAP)
    assert path.read_bytes() == b"holiday pictures"


def test_a_dangling_link_is_an_existing_file(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere"))
    with pytest.raises(KeyExists):
        recovery_file.create(path, "secret", cost=CHEAP)
    assert not path.with_name("elsewhere").exists()


def test_wrong_missing_and_empty_passphrases(path: Path) -> None:
    with pytest.raises(PassphraseMissing):
        recovery_file.create(path, "", cost=CHEAP)
    assert not path.exists()
    recovery_file.create(path, "secret", cost=CHEAP)
    with pytest.raises(PassphraseWrong, match=str(path)):
        recovery_file.read(path, given("guess"))
    for none in (NOBODY, given(""), EnvironmentPassphrases({}, Person(""))):
        with pytest.raises(PassphraseMissing, match=str(path)):
            recovery_file.read(path, none)


@pytest.mark.parametrize("passphrase", [None, "secret"])
def test_reads_pem(path: Path, passphrase: str | None) -> None:
    private = generate()
    path.write_bytes(write_private_pem(private, None if passphrase is None else passphrase.encode()))
    path.chmod(0o600)
    person = Person("secret")
    assert tuf_key(recovery_file.read(path, EnvironmentPassphrases({}, person))) == tuf_key(private)
    assert person.asked == ([] if passphrase is None else [("recovery", f"the recovery key {path}", False, False)])
    assert recovery_file.read_public_key(path, given("secret")) == tuf_key(private)


def test_a_plain_key_that_others_can_read_is_refused_a_sealed_one_is_not(path: Path) -> None:
    recovery_file.create(path, "secret", cost=CHEAP)
    path.chmod(0o755)
    recovery_file.read(path, given("secret"))
    path.write_bytes(write_private_pem(generate(), None))
    path.chmod(0o640)
    with pytest.raises(KeyFileExposed, match=f"chmod 600 {path}") as exposed:
        recovery_file.read(path, NOBODY)
    assert exposed.value.code == "key-file-exposed"
    with pytest.raises(KeyFileExposed):
        recovery_file.read_public_key(path, NOBODY)


def test_absent_unreadable_and_foreign_files_are_named_and_no_key_store(path: Path) -> None:
    with pytest.raises(KeyFileMissing, match=f"^{path} does not exist$"):
        recovery_file.read(path, given("secret"))
    with pytest.raises(KeyFileMalformed, match="it is not a regular file"):
        recovery_file.read(path.parent, given("secret"))
    unwritable = path.parent / "missing" / "recovery.key"
    with pytest.raises(KeyFileUnwritable, match=f"^{unwritable} cannot be written: No such file or directory$"):
        recovery_file.create(unwritable, "secret", cost=CHEAP)
    path.write_bytes(b"holiday pictures")
    path.chmod(0o600)
    with pytest.raises(KeyFileMalformed, match=str(path)):
        recovery_file.read(path, given("secret"))


def test_a_folder_that_is_none_is_said_to_be_unreadable(path: Path) -> None:
    path.write_bytes(b"a file")
    with pytest.raises(KeyFileUnreadable, match="Not a directory"):
        recovery_file.read(path / "recovery.key", given("secret"))


def test_a_file_is_read_to_one_byte_more_than_a_key_may_have(path: Path) -> None:
    path.write_bytes(b"x" * (MAX_KEY_FILE + 10))
    path.chmod(0o600)
    with pytest.raises(KeyFileMalformed, match="larger than"):
        recovery_file.read(path, given("secret"))


def test_a_pipe_is_refused_at_once_with_and_without_a_writer(path: Path) -> None:
    """It can be read once only, and without a writer not at all; what is in it is not taken out."""
    os.mkfifo(path)
    with pytest.raises(KeyFileMalformed, match="it is not a regular file"):
        recovery_file.read(path, given("secret"))
    with pytest.raises(KeyFileMalformed, match="it is not a regular file"):
        recovery_file.read_public_key(path, given("secret"))
    reader, writer = os.pipe()
    with pytest.raises(KeyFileMalformed, match="it is not a regular file"):
        recovery_file.read(Path(f"/dev/fd/{reader}"), given("secret"))
    os.close(reader)
    os.close(writer)


def test_the_file_is_read_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recovery_file.create(path, "secret", cost=CHEAP)
    opened: list[object] = []
    genuine = os.open

    def counted(name: str, *arguments: int) -> int:
        opened.append(name)
        return genuine(name, *arguments)

    monkeypatch.setattr(os, "open", counted)
    recovery_file.read(path, given("secret"))
    assert opened == [path]


def test_a_plain_key_that_a_platform_has_mounted_is_used_with_the_option(path: Path) -> None:
    private = generate()
    (path.parent / "..2026").mkdir()
    (path.parent / "..data").symlink_to("..2026")
    mounted = path.parent / "..data" / "recovery.key"
    mounted.write_bytes(write_private_pem(private, None))
    mounted.chmod(0o444)
    path.symlink_to("..data/recovery.key")
    with pytest.raises(KeyFileExposed, match="defaultMode: 0400") as exposed:
        recovery_file.read(path, NOBODY)
    assert "chmod" not in str(exposed.value)
    assert tuf_key(recovery_file.read(path, NOBODY, platform_secrets=True)) == tuf_key(private)
    assert recovery_file.read_public_key(path, NOBODY, platform_secrets=True) == tuf_key(private)
    mounted.chmod(0o666)
    with pytest.raises(KeyFileExposed):
        recovery_file.read(path, NOBODY, platform_secrets=True)
