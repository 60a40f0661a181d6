"""The recovery key file."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keys import file_access, recovery_file
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
from keys.passphrase import EnvironmentPassphrases, variables_for
from keys.pem import MAX_KEY_FILE
from keys.scrypt_cost import PRODUCTION_COST, ScryptCost
from keys.sealed_file import read_info
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
    created = datetime(2026, 1, 1, tzinfo=UTC)
    info = recovery_file.create(path, "secret", algorithm, name="mine", created=created, cost=CHEAP)
    assert (info.purpose, info.algorithm, info.name, info.created) == ("recovery", algorithm, "mine", created)
    assert read_info(path.read_bytes(), place="") == info
    assert cost_of(path) == CHEAP
    assert tuf_key(recovery_file.read(path, given("secret"))) == info.public
    assert recovery_file.read_public_key(path, NOBODY) == info.public
    assert path.stat().st_mode & 0o7777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_unless_told_otherwise_it_is_what_every_client_reads_and_as_costly_as_every_key_file(path: Path) -> None:
    info = recovery_file.create(path, "secret")
    assert (info.algorithm, info.name, info.created) == (Algorithm.ECDSA_P256, "", None)
    assert cost_of(path) == PRODUCTION_COST


def cost_of(path: Path) -> ScryptCost:
    kdf = json.loads(path.read_bytes())["kdf"]
    return ScryptCost(n=kdf["n"], r=kdf["r"], p=kdf["p"])


def test_an_existing_file_is_never_touched(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b"holiday pictures")
    with pytest.raises(KeyExists) as at_once:
        recovery_file.create(path, "", cost=CHEAP)  # before the slow part, where a passphrase is missed
    monkeypatch.setattr("os.path.lexists", lambda _: False)  # made between the look and the write
    with pytest.raises(KeyExists) as at_last:
        recovery_file.create(path, "secret", cost=CHEAP)
    for caught in (at_once, at_last):
        assert caught.value.details() == {"key": "the recovery key file", "place": str(path)}
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
    with pytest.raises(PassphraseWrong, match=f"the recovery key {path}"):
        recovery_file.read(path, given("guess"))
    with pytest.raises(PassphraseWrong, match=f"in {path}, or the file was altered$"):
        recovery_file.read(path, EnvironmentPassphrases({}, Person("a", "b", "c")))
    for none in (NOBODY, given(""), EnvironmentPassphrases({}, Person(""))):
        with pytest.raises(PassphraseMissing) as caught:
            recovery_file.read(path, none)
        assert (caught.value.key, caught.value.sources) == (f"the recovery key {path}", variables_for("recovery"))


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
    with pytest.raises(KeyFileExposed) as exposed:
        recovery_file.read_public_key(path, NOBODY)
    assert exposed.value.details() == {"path": str(path), "mode": "640", "wanted": "600", "owner": None, "platform": ""}


def test_a_plain_key_of_somebody_else_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(write_private_pem(generate(), None))
    path.chmod(0o600)
    owner = os.geteuid()
    monkeypatch.setattr(file_access, "_ROOT", -1)
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)
    with pytest.raises(KeyFileExposed) as exposed:
        recovery_file.read(path, NOBODY)
    assert exposed.value.details() == {
        "path": str(path),
        "mode": "600",
        "wanted": "600",
        "owner": owner,
        "platform": "",
    }


@pytest.mark.parametrize(("error", "reason"), [(OSError(28, "No space left"), "No space left"), (OSError(), "OSError")])
def test_a_disk_that_refuses_is_named_with_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str
) -> None:
    def refuse(*_: object) -> None:
        raise error

    path.write_bytes(b"")
    with monkeypatch.context() as patched:
        patched.setattr(os, "read", refuse)
        with pytest.raises(KeyFileUnreadable) as unreadable:
            recovery_file.read(path, NOBODY)
    assert unreadable.value.details() == {"place": str(path), "reason": reason}
    path.unlink()
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", refuse)
        with pytest.raises(KeyFileUnwritable) as unwritable:
            recovery_file.create(path, "secret", cost=CHEAP)
    assert unwritable.value.details() == {"place": str(path), "reason": reason}


def test_absent_unreadable_and_foreign_files_are_named_and_no_key_store(path: Path) -> None:
    with pytest.raises(KeyFileMissing, match=f"^{path} does not exist$"):
        recovery_file.read(path, given("secret"))
    with pytest.raises(KeyFileMalformed, match="it is not a regular file"):
        recovery_file.read(path.parent, given("secret"))
    unwritable = path.parent / "missing" / "recovery.key"
    with pytest.raises(KeyFileUnwritable, match=f"^{unwritable} cannot be written: No such file or directory$"):
        recovery_file.create(unwritable, "secret", cost=CHEAP)
    sealed = b'{"format": "content-trust-key-1"}'  # and nothing else of it
    for content in (b"holiday pictures", b"{}", b"-----BEGIN ENCRYPTED PRIVATE KEY-----", sealed):
        path.write_bytes(content)
        for mode in (0o600, 0o644):
            path.chmod(mode)
            for read in (recovery_file.read, recovery_file.read_public_key):
                with pytest.raises(KeyFileMalformed) as malformed:
                    read(path, given("secret"))
                assert malformed.value.place == str(path)


def test_an_encrypted_key_may_lie_where_files_have_no_modes_and_a_plain_one_beside_it_may_not(path: Path) -> None:
    private = generate()
    encrypted, plain = write_private_pem(private, b"secret"), write_private_pem(private, None)
    path.write_bytes(encrypted)
    path.chmod(0o644)
    assert tuf_key(recovery_file.read(path, given("secret"))) == tuf_key(private)
    for both in (encrypted + plain, plain + encrypted):
        path.write_bytes(both)
        with pytest.raises(KeyFileExposed):
            recovery_file.read(path, given("secret"))
    path.chmod(0o600)
    with pytest.raises(KeyFileMalformed, match="it holds 2 private keys where one is wanted") as caught:
        recovery_file.read(path, given("secret"))
    assert caught.value.place == str(path)


def test_a_folder_that_is_none_is_said_to_be_unreadable(path: Path) -> None:
    path.write_bytes(b"a file")
    with pytest.raises(KeyFileUnreadable, match="Not a directory"):
        recovery_file.read(path / "recovery.key", given("secret"))


def test_a_file_is_read_to_one_byte_more_than_a_key_may_have(path: Path) -> None:
    path.write_bytes(b"x" * (MAX_KEY_FILE + 10))
    path.chmod(0o600)
    with pytest.raises(KeyFileMalformed, match="larger than"):
        recovery_file.read(path, given("secret"))
    pem = write_private_pem(generate(), None)
    path.write_bytes(pem.ljust(MAX_KEY_FILE))
    recovery_file.read(path, NOBODY)


def test_a_pipe_is_refused_at_once_with_and_without_a_writer(path: Path) -> None:
    """It can be read once only, and without a writer not at all; what is in it is not taken out."""
    os.mkfifo(path)
    with pytest.raises(KeyFileMalformed, match="it is not a regular file") as caught:
        recovery_file.read(path, given("secret"))
    assert caught.value.place == str(path)
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
    assert opened == [str(path)]


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
    remedy = "set defaultMode: 0400 in Kubernetes (mode 0400 elsewhere), or give --platform-secrets"
    assert exposed.value.details() == {
        "path": str(path),
        "mode": "444",
        "wanted": "600",
        "owner": None,
        "platform": remedy,
    }
    assert "chmod" not in str(exposed.value)
    assert tuf_key(recovery_file.read(path, NOBODY, platform_secrets=True)) == tuf_key(private)
    assert recovery_file.read_public_key(path, NOBODY, platform_secrets=True) == tuf_key(private)
    mounted.chmod(0o666)
    with pytest.raises(KeyFileExposed):
        recovery_file.read(path, NOBODY, platform_secrets=True)
