"""`trust key backup`, `backup-verify` and `restore`: proven before it is done, nothing half, nothing written over."""

from __future__ import annotations

import shutil
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from keys.algorithms import Algorithm, generate
from keys.backup.archive import write_archive
from keys.durable_file import write_durably
from keys.errors import KeyStoreUnwritable
from keys.filestore import FileKeyStore
from keys.key_info import KeyInfo
from keys.passphrase import EnvironmentPassphrases
from keys.signers import FileSigner
from tests.support.backup_person import NEW, OLD, Person
from tests.support.cheap_keys import sealing_cheaply
from trustcli.__main__ import run
from trustcli.commands.key import backup_file


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Person:
    sealing_cheaply(monkeypatch)
    monkeypatch.chdir(tmp_path)
    return Person(tmp_path, monkeypatch, capsys)


def shares(number: int = 3) -> list[str]:
    """The options for that many of three shares, the last ones."""
    pytest.importorskip("shamir_mnemonic", reason="shamir-mnemonic is not installed")
    return [word for n in range(4 - number, 4) for word in ("--share", f"shares/keys.backup.share-{n}-of-3.txt")]


SPLIT: Final = ("--shares", "2/3", "--shares-dir", "shares")


def mode(path: str) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


def test_all_keys_come_back_on_an_empty_machine_and_are_opened_with_the_new_passphrase(person: Person) -> None:
    made = [person.makes("alice"), person.makes("boss", "root"), person.makes("old", "root")]
    person.store.retire(made[2].keyid)
    before = person.store.list()
    document = person.key("backup", "keys.backup", "--all")
    assert (mode("keys.backup"), document["shares"], document["share_files"]) == (0o600, None, [])
    assert [row["keyid"] for row in person.key("backup-verify", "keys.backup")["keys"]] == [i.keyid for i in before]
    person.moves(person.folder / "new", NEW)
    restored = person.key("restore", "keys.backup")
    assert set(person.states(restored).values()) == {"done"}
    assert person.store.list() == before
    for info in made:
        signer = FileSigner(person.store.private(info.keyid, NEW), info)
        info.public.verify_signature(signer.sign(b"again"), b"again")


def test_shares_open_it_and_no_passphrase_is_asked_for(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    shares()
    person.makes("alice")
    monkeypatch.delenv("TRUST_BACKUP_PASSPHRASE")
    document = person.key("backup", "keys.backup", "alice", *SPLIT)
    assert document["shares"] == {"threshold": 2, "count": 3}
    assert document["share_files"] == [f"shares/keys.backup.share-{n}-of-3.txt" for n in (1, 2, 3)]
    assert [mode(file) for file in document["share_files"]] == [0o600] * 3
    assert mode("shares") == 0o700
    assert "give each share to somebody else" in person.said
    assert person.key("backup-verify", "keys.backup", *shares(3))["given"] == [1, 2, 3]
    assert person.key("backup-verify", "keys.backup", *shares(2))["given"] == [2, 3]
    person.moves(person.folder / "new", NEW)
    assert person.states(person.key("restore", "keys.backup", *shares(2))) == {"alice": "done"}


def test_no_word_of_a_share_is_printed(person: Person, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("segno", reason="segno is not installed")
    shares()
    person.makes("alice")
    assert run(["key", "backup", "keys.backup", "--all", *SPLIT, "--qr"]) == 0
    printed = capsys.readouterr()
    for file in Path("shares").iterdir():
        line = next(line for line in file.read_text().splitlines() if line.startswith("   1 "))
        assert line.strip() not in printed.out + printed.err
        assert "█" in file.read_text()


@pytest.mark.parametrize("number", [0, 1])
def test_too_few_shares_open_nothing(person: Person, number: int) -> None:
    shares()
    person.makes("alice")
    person.key("backup", "keys.backup", "--all", *SPLIT)
    error = person.key("backup-verify", "keys.backup", *shares(number), status=8)["error"]
    assert (error["code"], error["details"]["given"]) == ("shares-too-few", ["3"] * number)


def test_a_damaged_share_is_told(person: Person) -> None:
    shares()
    person.makes("alice")
    person.key("backup", "keys.backup", "--all", *SPLIT)
    path = Path("shares/keys.backup.share-3-of-3.txt")
    path.write_text(path.read_text().replace("   1 ", "   1 x"))
    error = person.key("restore", "keys.backup", *shares(2), status=8)["error"]
    assert (error["code"], error["details"]["number"], error["details"]["place"]) == ("share-malformed", 3, str(path))


def test_shares_for_a_passphrase_are_refused(person: Person) -> None:
    person.makes("alice")
    person.key("backup", "keys.backup", "--all", *SPLIT) if shares() else None
    person.key("backup", "other.backup", "--all")
    error = person.key("backup-verify", "other.backup", *shares(2), status=8)["error"]
    assert (error["code"], error["next"]) == ("backup-sealed-otherwise", "leave --share out")


def test_a_wrong_passphrase_has_its_own_error_and_writes_nothing(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.makes("alice")
    person.key("backup", "keys.backup", "--all")
    person.moves(person.folder / "new", NEW)
    monkeypatch.setenv("TRUST_BACKUP_PASSPHRASE", "a guess")
    for command in ("backup-verify", "restore"):
        assert person.key(command, "keys.backup", status=8)["error"]["code"] == "backup-passphrase-wrong"
    monkeypatch.delenv("TRUST_BACKUP_PASSPHRASE")
    error = person.key("restore", "keys.backup", status=8)["error"]
    assert (error["code"], error["details"]["sources"][0]) == ("passphrase-missing", "TRUST_BACKUP_PASSPHRASE")
    assert person.store.list() == ()


def test_a_passphrase_that_opens_several_keys_is_asked_for_once(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("alice", "bob", "carol"):
        person.makes(name)
    person.makes("boss", "root")
    asked: list[str] = []
    given = EnvironmentPassphrases.passphrase

    def counted(passphrases: EnvironmentPassphrases, **words: Any) -> str:
        asked.append(words["purpose"])
        return given(passphrases, **words)

    monkeypatch.setattr(EnvironmentPassphrases, "passphrase", counted)
    person.key("backup", "keys.backup", "--all")
    assert asked == ["root", "backup"]
    person.moves(person.folder / "new", NEW)
    asked.clear()
    person.key("restore", "keys.backup")
    assert asked == ["backup", "root", "signer"]


def test_a_key_that_cannot_be_opened_leaves_nothing(person: Person) -> None:
    person.makes("alice")
    person.makes("zoe", passphrase="another one")
    assert person.key("backup", "keys.backup", "--all", status=8)["error"]["code"] == "passphrase-wrong"
    assert not Path("keys.backup").exists()


def test_nothing_is_written_over(person: Person) -> None:
    shares()
    person.makes("alice")
    Path("keys.backup").write_text("holiday pictures")
    assert person.key("backup", "keys.backup", "--all", status=8)["error"]["details"]["place"] == "keys.backup"
    Path("keys.backup").unlink()
    Path("shares").mkdir()
    second = Path("shares/keys.backup.share-2-of-3.txt")
    second.symlink_to("nowhere")
    assert person.key("backup", "keys.backup", "--all", *SPLIT, status=8)["error"]["details"]["place"] == str(second)
    assert [path.name for path in Path("shares").iterdir()] == [second.name]
    assert not Path("keys.backup").exists()


def test_what_is_made_meanwhile_is_not_written_over_and_what_was_written_goes(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares()
    person.makes("alice")
    genuine = write_archive

    def somebody_else_writes(*arguments: Any, **words: Any) -> bytes:
        Path("keys.backup").write_text("holiday pictures")
        return genuine(*arguments, **words)

    monkeypatch.setattr("trustcli.commands.key.backup.write_archive", somebody_else_writes)
    assert person.key("backup", "keys.backup", "--all", *SPLIT, status=8)["error"]["code"] == "key-exists"
    assert Path("keys.backup").read_text() == "holiday pictures"
    assert list(Path("shares").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["keys.backup"], "which keys?"),
        (["keys.backup", "alice", "--all"], "which keys?"),
        (["keys.backup", "alice", "--qr"], "--shares K/N"),
        (["keys.backup", "alice", "--shares-dir", "x"], "--shares K/N"),
        (["keys.backup", "alice", "--shares", "2/3"], "--shares-dir DIR is missing"),
        (["keys.backup", "alice", "--shares", "two/3", "--shares-dir", "x"], "is not K/N"),
        (["keys.backup", "alice", "--shares", "1/3", "--shares-dir", "x"], "leave --shares out"),
        (["keys.backup", "alice", "--shares", "4/3", "--shares-dir", "x"], "no 4 of 3 shares"),
        (["keys.backup", "alice", "--shares", "2/17", "--shares-dir", "x"], "at most 16 shares"),
    ],
)
def test_what_is_not_meant_is_wrong_usage(person: Person, arguments: list[str], said: str) -> None:
    person.makes("alice")
    assert said in person.key("backup", *arguments, status=2)["error"]["message"]
    assert sorted(path.name for path in person.folder.iterdir()) == ["home"]


def test_an_empty_store_has_nothing_to_back_up(person: Person) -> None:
    assert "the key store has none" in person.key("backup", "keys.backup", "--all", status=2)["error"]["message"]
    assert person.key("backup", "keys.backup", "nobody", status=8)["error"]["code"] == "key-not-found"


URI: Final = "pkcs11:serial=1;object=a?module-path=/usr/lib/token.so"


def recorded(person: Person, name: str, uri: str = URI, *, retired: bool = False) -> KeyInfo:
    """An entry of the store for a key that lives elsewhere."""
    info = replace(KeyInfo.of(generate(Algorithm.ED25519), purpose="root", name=name, uri=uri), retired=retired)
    person.store.add_elsewhere(info)
    return info


def test_a_key_that_lives_elsewhere_is_listed_and_comes_back_as_an_entry(person: Person) -> None:
    person.makes("alice")
    token, old = recorded(person, "token"), recorded(person, "old", retired=True)
    assert "they live elsewhere" in person.key("backup", "keys.backup", "token", status=2)["error"]["message"]
    document = person.key("backup", "keys.backup", "--all")
    assert [row["name"] for row in document["keys"]] == ["alice"]
    rows = {row["name"]: row for row in document["elsewhere"]}
    assert set(rows) == {"token", "old"}
    assert rows["token"]["uri"] == URI
    assert rows["token"]["public"].startswith("-----BEGIN PUBLIC KEY-----\n")
    assert "PRIVATE" not in Path("keys.backup").read_text()
    person.moves(person.folder / "new", NEW)
    assert len(person.key("backup-verify", "keys.backup")["elsewhere"]) == 2
    assert person.store.list() == ()
    restored = person.key("restore", "keys.backup")
    assert person.states(restored) == {"alice": "done", "token": "done", "old": "done"}
    assert f"root key token ({token.keyid[:12]}) is not in the backup" in person.said
    assert f"it lives at {URI}" in person.said
    assert {info.name: info for info in person.store.list()}["token"] == token
    assert person.store.get(old.keyid).retired
    assert set(person.states(person.key("restore", "keys.backup")).values()) == {"nothing to do"}


def test_an_entry_alone_needs_no_passphrase_and_may_have_another_name(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.makes("alice")
    token = recorded(person, "token")
    person.key("backup", "keys.backup", "--all")
    person.moves(person.folder / "new", NEW)
    for name in ("ROOT", "REPOSITORY"):
        monkeypatch.delenv(f"TRUST_{name}_PASSPHRASE")
    assert person.states(person.key("restore", "keys.backup", "token", "--name", "vault")) == {"vault": "done"}
    assert person.store.get("vault").uri == token.uri


def test_an_entry_of_a_kind_that_is_not_known_here_does_not_hold_up_the_others(person: Person) -> None:
    person.makes("alice")
    recorded(person, "later", "quantum:key/1")
    recorded(person, "odd", "pkcs11:serial=1")
    person.key("backup", "keys.backup", "--all")
    person.moves(person.folder / "new", NEW)
    document = person.key("restore", "keys.backup", status=8)
    assert person.states(document) == {"alice": "done", "later": "failed", "odd": "failed"}
    codes = {row["name"]: row["error"]["code"] for row in document["keys"] if row["error"]}
    assert codes == {"later": "key-scheme-unknown", "odd": "key-uri-malformed"}
    assert [info.name for info in person.store.list()] == ["alice"]


def test_another_uri_in_a_backup_is_found_out(person: Person) -> None:
    """Opening a URI runs code: whoever changes it on the stick must not have his program run."""
    person.makes("alice")
    recorded(person, "token")
    person.key("backup", "keys.backup", "--all")
    file = Path("keys.backup")
    file.write_text(file.read_text().replace("/usr/lib/token.so", "/media/stick/a.so"))
    person.moves(person.folder / "new", NEW)
    assert person.key("restore", "keys.backup", status=8)["error"]["code"] == "backup-altered"
    assert person.store.list() == ()


def test_a_backup_that_is_not_proven_is_taken_away(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    shares()
    person.makes("alice")
    sign = FileSigner.sign
    monkeypatch.setattr(FileSigner, "sign", lambda signer, payload: sign(signer, payload + b"!"))
    assert person.key("backup", "keys.backup", "--all", *SPLIT, status=8)["error"]["code"] == "backup-not-proven"
    assert (Path("keys.backup").exists(), list(Path("shares").iterdir())) == (False, [])


@pytest.mark.parametrize("command", ["backup-verify", "restore"])
def test_a_backup_whose_keys_do_not_sign_is_told_at_any_later_time(
    person: Person, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    person.makes("alice")
    person.key("backup", "keys.backup", "--all")
    person.moves(person.folder / "new", NEW)
    sign = FileSigner.sign
    monkeypatch.setattr(FileSigner, "sign", lambda signer, payload: sign(signer, payload + b"!"))
    assert person.key(command, "keys.backup", status=8)["error"]["code"] == "backup-not-proven"
    assert person.store.list() == ()


def test_a_disk_that_gives_back_something_else_is_noticed(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    person.makes("alice")

    def flip(path: Path, data: bytes, **words: Any) -> None:
        write_durably(path, data.replace(b'"retired": false', b'"retired": true'), **words)

    monkeypatch.setattr("trustcli.commands.key.backup.write_durably", flip)
    assert person.key("backup", "keys.backup", "--all", status=8)["error"]["code"] == "backup-altered"
    assert not Path("keys.backup").exists()


def test_a_disk_that_refuses_is_named(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    shares()
    person.makes("alice")
    assert person.key("backup", "none/keys.backup", "--all", status=8)["error"]["code"] == "key-file-unwritable"
    Path("file").write_text("")
    error = person.key("backup", "k", "--all", "--shares", "2/3", "--shares-dir", "file/x", status=8)["error"]
    assert (error["code"], error["details"]["place"]) == ("key-file-unwritable", "file/x")
    for command in ("restore", "backup-verify"):
        assert person.key(command, "none.backup", status=8)["error"]["code"] == "key-not-found"
        assert person.key(command, ".", status=8)["error"]["code"] == "backup-malformed"


def test_a_backup_beside_the_keys_and_shares_beside_the_backup_are_warned_of(person: Person) -> None:
    shares()
    person.makes("alice")
    person.key("backup", str(person.home / "keys.backup"), "--all")
    assert "lies beside the keys" in person.said
    person.key("backup", "keys.backup", "--all", "--shares", "2/3", "--shares-dir", ".")
    assert "all shares lie beside keys.backup" in person.said
    assert "lies beside the keys" not in person.said


def test_who_has_no_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "@" in backup_file.who()

    def nobody(_: int) -> None:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert backup_file.who().partition("@")[0].isdigit()


# --- what is there when keys are restored


def test_a_key_that_is_here_stays_as_it_is(person: Person) -> None:
    alice = person.makes("alice")
    person.makes("bob")
    person.key("backup", "keys.backup", "--all")
    bob = person.store.get("bob").keyid
    person.store.remove(bob)
    before = (person.home / "private" / f"{alice.keyid}.key").read_bytes()
    assert person.states(person.key("restore", "keys.backup")) == {"alice": "nothing to do", "bob": "done"}
    assert (person.home / "private" / f"{alice.keyid}.key").read_bytes() == before
    assert "signer key alice" in person.said
    assert "is in the key store already: left as it is" in person.said
    assert set(person.states(person.key("restore", "keys.backup")).values()) == {"nothing to do"}
    other = person.key("restore", "keys.backup", "alice", "--name", "anna")
    assert person.states(other) == {"alice": "nothing to do"}, "it is told under the name that it has here"


def test_nobody_is_asked_for_the_passphrase_of_a_key_that_is_here(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.makes("alice")
    person.key("backup", "keys.backup", "--all")
    monkeypatch.delenv("TRUST_REPOSITORY_PASSPHRASE")
    assert person.states(person.key("restore", "keys.backup")) == {"alice": "nothing to do"}


def test_only_what_was_named_comes_back_and_what_it_does_not_hold_is_told(person: Person) -> None:
    person.makes("alice")
    bob = person.makes("bob")
    person.key("backup", "keys.backup", "--all")
    person.moves(person.folder / "new", NEW)
    error = person.key("restore", "keys.backup", "bob", "carol", status=8)["error"]
    assert (error["code"], error["next"]) == ("key-not-in-backup", "trust key backup-verify says what it holds")
    assert person.store.list() == ()
    assert person.states(person.key("restore", "keys.backup", "bob", bob.keyid[:8])) == {"bob": "done"}
    assert [info.name for info in person.store.list()] == ["bob"]


def test_another_key_of_the_same_name_is_refused_alone_and_comes_back_under_another(person: Person) -> None:
    person.makes("alice")
    person.makes("bob")
    person.key("backup", "keys.backup", "--all")
    person.moves(person.folder / "new", NEW)
    here = person.makes("alice", passphrase=NEW)
    document = person.key("restore", "keys.backup", status=8)
    assert person.states(document) == {"alice": "failed", "bob": "done"}
    error = document["keys"][0]["error"]
    assert error["message"] == f"another key in the key store has the name alice, {here.described}"
    assert "key restore: --name NAME" in error["next"]
    assert "--name is for one key" in person.key("restore", "keys.backup", "--name", "x", status=2)["error"]["message"]
    assert person.key("restore", "keys.backup", "alice", "--name", "../x", status=2)["error"]["code"] == "invalid-name"
    assert person.states(person.key("restore", "keys.backup", "alice", "--name", "alice-2")) == {"alice-2": "done"}
    assert [info.name for info in person.store.list()] == ["alice", "alice-2", "bob"]


def test_a_missing_passphrase_is_noticed_before_anything_is_written(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.makes("alice")
    person.makes("boss", "root")
    person.key("backup", "keys.backup", "--all")
    person.moves(person.folder / "new", NEW)
    monkeypatch.delenv("TRUST_REPOSITORY_PASSPHRASE")
    assert person.key("restore", "keys.backup", status=8)["error"]["code"] == "passphrase-missing"
    assert person.store.list() == ()


@pytest.mark.parametrize(
    ("failure", "status"), [(KeyStoreUnwritable(path="x", reason="full"), 8), (KeyboardInterrupt(), 130)]
)
def test_what_stops_in_the_middle_goes_on_where_it_stopped(
    person: Person, monkeypatch: pytest.MonkeyPatch, failure: BaseException, status: int
) -> None:
    for name in ("alice", "bob", "carol"):
        person.makes(name)
    person.key("backup", "keys.backup", "--all")
    person.moves(person.folder / "new", NEW)
    add, tried = FileKeyStore.add, list[str]()

    def once(store: FileKeyStore, private: Any, info: KeyInfo, passphrase: str) -> None:
        tried.append(info.name)
        if len(tried) > 1:
            raise failure
        add(store, private, info, passphrase)

    with monkeypatch.context() as patched:
        patched.setattr(FileKeyStore, "add", once)
        document = person.key("restore", "keys.backup", status=status)
    assert person.states(document) == {"alice": "done", "bob": "failed", "carol": "not tried"}
    assert document["error"] == document["keys"][1]["error"]
    assert [info.name for info in person.store.list()] == ["alice"]
    assert person.states(person.key("restore", "keys.backup")) == {
        "alice": "nothing to do",
        "bob": "done",
        "carol": "done",
    }


def test_what_somebody_else_stores_meanwhile_is_seen(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    person.makes("alice")
    person.makes("bob")
    person.key("backup", "keys.backup", "--all")
    copy = shutil.copytree(person.home, person.folder / "copy")
    person.moves(person.folder / "new", NEW)
    add = FileKeyStore.add

    def somebody_is_faster(store: FileKeyStore, private: Any, info: KeyInfo, passphrase: str) -> None:
        if info.name == "alice":
            shutil.copy(copy / "private" / f"{info.keyid}.key", person.home / "private")
        else:
            private_of_another = generate(Algorithm.ED25519)
            add(store, private_of_another, KeyInfo.of(private_of_another, purpose="signer", name="bob"), OLD)
        add(store, private, info, passphrase)

    (person.home / "private").mkdir(mode=0o700)
    monkeypatch.setattr(FileKeyStore, "add", somebody_is_faster)
    document = person.key("restore", "keys.backup", status=8)
    assert person.states(document) == {"alice": "nothing to do", "bob": "failed"}
