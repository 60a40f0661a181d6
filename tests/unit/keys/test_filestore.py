"""The key store in a folder: who may read it, what is passed over, and what a kill leaves."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keys import filestore
from keys.algorithms import Algorithm, generate
from keys.durable_file import write_durably
from keys.errors import (
    KeyFileMalformed,
    KeyNotFound,
    KeysError,
    KeyStoreInsecure,
    KeyStoreUnreadable,
    KeyStoreUnwritable,
    PassphraseWrong,
)
from keys.filestore import FileKeyStore
from keys.key_info import KeyInfo
from keys.material import tuf_key, write_private_pem
from tests.support.cheap_keys import CHEAP

PRIVATE = generate(Algorithm.ED25519)
INFO = KeyInfo.of(PRIVATE, purpose="root")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / "private"


@pytest.fixture
def store(folder: Path) -> FileKeyStore:
    store = FileKeyStore(folder, cost=CHEAP)
    store.add(PRIVATE, INFO, "secret")
    return store


@pytest.fixture
def key_file(folder: Path, store: FileKeyStore) -> Path:
    del store
    return folder / f"{INFO.keyid}.key"


def test_files_and_folders_are_for_their_owner_alone(folder: Path, key_file: Path) -> None:
    assert key_file.stat().st_mode & 0o7777 == 0o600
    assert folder.stat().st_mode & 0o7777 == 0o700
    assert folder.parent.stat().st_mode & 0o7777 == 0o700


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o666])
def test_a_file_that_others_may_touch_is_refused_with_the_command_to_type(
    store: FileKeyStore, key_file: Path, mode: int
) -> None:
    key_file.chmod(mode)
    for use in (
        lambda: store.private(INFO.keyid, "secret"),
        store.list,
        lambda: store.get(INFO.keyid),
        lambda: store.retire(INFO.keyid),
        lambda: store.passwd(INFO.keyid, "secret", "new"),
    ):
        with pytest.raises(KeyStoreInsecure, match=f"chmod 600 {key_file}") as caught:
            use()
        assert caught.value.mode == f"{mode:o}"


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o777, 0o710])
def test_a_folder_that_others_may_enter_is_refused(store: FileKeyStore, folder: Path, mode: int) -> None:
    folder.chmod(mode)
    other = generate(Algorithm.ED25519)
    for use in (
        store.list,
        lambda: store.private(INFO.keyid, "secret"),
        lambda: store.add(other, KeyInfo.of(other, purpose="root"), "secret"),
        lambda: store.remove(INFO.keyid),
    ):
        with pytest.raises(KeyStoreInsecure, match=f"chmod 700 {folder}"):
            use()


def test_every_file_has_the_cost_of_its_store(store: FileKeyStore, key_file: Path, tmp_path: Path) -> None:
    cheap = {"n": CHEAP.n, "r": CHEAP.r, "p": CHEAP.p}
    assert _cost(key_file) == cheap
    store.passwd(INFO.keyid, "secret", "new")
    assert _cost(key_file) == cheap
    FileKeyStore(tmp_path).add(PRIVATE, INFO, "secret")
    assert _cost(tmp_path / key_file.name) == {"n": 32768, "r": 8, "p": 1}


def _cost(file: Path) -> dict[str, int]:
    kdf = json.loads(file.read_bytes())["kdf"]
    return {name: kdf[name] for name in ("n", "r", "p")}


def test_what_is_no_key_file_is_passed_over(store: FileKeyStore, folder: Path, key_file: Path) -> None:
    (folder / f".{key_file.name}.0011223344556677.tmp").write_bytes(key_file.read_bytes()[:100])
    (folder / "notes.txt").write_text("hello")
    (folder / "old.key").write_text("hello")
    assert store.list() == (INFO,)


def test_a_damaged_key_file_is_named_and_spares_the_other_keys(store: FileKeyStore, key_file: Path) -> None:
    other = generate(Algorithm.ED25519)
    info = KeyInfo.of(other, purpose="targets")
    store.add(other, info, "secret")
    key_file.write_bytes(key_file.read_bytes()[:100])
    for use in (store.list, lambda: store.private(INFO.keyid, "secret"), lambda: store.retire(INFO.keyid)):
        with pytest.raises(KeyFileMalformed) as caught:
            use()
        assert caught.value.place == str(key_file)
    assert store.get(info.keyid) == info, "by its whole id, for which its file alone is read"
    assert tuf_key(store.private(info.keyid, "secret")) == info.public


def test_a_key_under_the_name_of_another_is_refused(store: FileKeyStore, folder: Path, key_file: Path) -> None:
    key_file.rename(folder / f"{'0' * 64}.key")
    with pytest.raises(KeyFileMalformed, match="another key") as caught:
        store.get("0" * 64)
    assert caught.value.place == str(folder / f"{'0' * 64}.key")


def test_a_plain_pem_in_the_place_of_a_key_is_refused(store: FileKeyStore, key_file: Path) -> None:
    write_durably(key_file, write_private_pem(PRIVATE, None))
    with pytest.raises(KeyFileMalformed):
        store.private(INFO.keyid, "secret")


def test_a_pipe_or_folder_in_the_place_of_a_key_is_refused_and_holds_nobody_up(
    store: FileKeyStore, key_file: Path
) -> None:
    key_file.unlink()
    os.mkfifo(key_file, 0o600)
    with pytest.raises(KeyFileMalformed, match="regular") as caught:
        store.get(INFO.keyid)
    assert caught.value.place == str(key_file)
    key_file.unlink()
    key_file.mkdir(0o700)
    with pytest.raises(KeyFileMalformed, match="regular"):
        store.get(INFO.keyid)


def test_ids_are_never_taken_for_paths(store: FileKeyStore, folder: Path) -> None:
    outside = folder.parent / "outside.key"
    outside.write_bytes(b"x")
    lock = folder / ".store.lock"
    lock.unlink()
    long = "../" + "é" + "a" * 80
    for reference, shown in (("../outside", "'../outside'"), (long, ascii(long[:80]))):
        for use in (
            store.get,
            store.remove,
            store.retire,
            lambda k: store.private(k, "secret"),
            lambda k: store.passwd(k, "secret", "new"),
        ):
            with pytest.raises(KeyNotFound) as caught:
                use(reference)
            assert caught.value.key == shown
    assert outside.exists()
    assert not lock.exists(), "and nobody waits for them"


def test_a_key_that_is_not_there_is_named(store: FileKeyStore, tmp_path: Path) -> None:
    absent = "0" * 64
    for where, shown in ((store, absent), (FileKeyStore(tmp_path / "nowhere"), f"'{absent}'")):
        with pytest.raises(KeyNotFound) as caught:
            where.private(absent, "secret")
        assert caught.value.key == shown
    assert not (tmp_path / "nowhere").exists()


def test_a_disk_that_refuses_is_reported_with_the_folder(
    store: FileKeyStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Iterator[None]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KeyStoreUnwritable, match="No space left on device") as caught:
        store.passwd(INFO.keyid, "secret", "new")
    assert caught.value.path == str(folder)
    monkeypatch.undo()
    store.private(INFO.keyid, "secret")


def test_an_error_without_words_is_reported_by_its_name(
    store: FileKeyStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise TimeoutError

    with monkeypatch.context() as patched:
        patched.setattr(os, "read", refuse)
        with pytest.raises(KeyStoreUnreadable) as unreadable:
            store.private(INFO.keyid, "secret")
    assert unreadable.value.details() == {"path": str(folder), "reason": "TimeoutError"}
    for call in ("stat", "unlink"):
        with monkeypatch.context() as patched:
            patched.setattr(os, call, refuse)
            with pytest.raises(KeyStoreUnwritable) as unwritable:
                store.remove(INFO.keyid)
        assert unwritable.value.details() == {"path": str(folder), "reason": "TimeoutError"}


def test_writers_exclude_each_other_by_one_lock(
    store: FileKeyStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked: list[str] = []

    def while_locked(_: Path, *content: bytes) -> None:
        with (folder / ".store.lock").open("rb") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        locked.append("written" if content else "synced")

    monkeypatch.setattr(filestore, "write_durably", while_locked)
    monkeypatch.setattr(filestore, "sync_folder", while_locked)
    other = generate(Algorithm.ED25519)
    store.add(other, KeyInfo.of(other, purpose="root"), "secret")
    store.retire(INFO.keyid)
    store.passwd(INFO.keyid, "secret", "new")
    store.remove(INFO.keyid)
    assert locked == ["written", "written", "written", "synced"]


def test_a_file_in_the_place_of_the_folder_is_reported(tmp_path: Path) -> None:
    store_folder = tmp_path / "private"
    store_folder.write_bytes(b"")
    store_folder.chmod(0o700)
    store = FileKeyStore(store_folder, cost=CHEAP)
    with pytest.raises(KeyStoreUnreadable, match=f"^the key store {store_folder} cannot be read: Not a directory$"):
        store.list()
    with pytest.raises(KeyStoreUnwritable, match=f"^the key store {store_folder} cannot be written: "):
        store.add(PRIVATE, INFO, "secret")


# For N = 1, 2, ...: a process that dies by SIGKILL just before its N-th call of `os` in an operation on a copy of the
# store, `<folder>/N`; until one lives. A line says how each ended.
_CHILDREN = """
import os, shutil, signal, sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from keys import durable_file, filestore
from keys.key_info import KeyInfo
from keys.private_blocks import read_private_pem
from tests.support.cheap_keys import CHEAP

folder, operation, keyid = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
private = read_private_pem(sys.stdin.buffer.read(), None, place="stdin")
calls = 0

def counted(name, real):
    def call(*arguments, **options):
        global calls
        calls += 1
        if calls == kill_at:
            if name == "write":
                real(arguments[0], bytes(arguments[1])[:7])
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call

names = ("open", "fchmod", "write", "fsync", "close", "replace", "unlink", "mkdir")
real = {**{n: getattr(os, n) for n in names}, "fsync": lambda descriptor: None}  # a kill does not need the disk
durable_file.os = SimpleNamespace(**{**vars(os), **{n: counted(n, real[n]) for n in names}})

def operate(store):
    if operation == "add":
        store.add(private, KeyInfo.of(private, purpose="root"), "secret")
    elif operation == "retire":
        store.retire(keyid)
    elif operation == "remove":
        store.remove(keyid)
    else:
        store.passwd(keyid, "secret", "new")

for kill_at in count(1):
    shutil.copytree(folder / "before", folder / str(kill_at))
    if child := os.fork():
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(status)
        if status != -signal.SIGKILL:
            break
    else:
        try:
            operate(filestore.FileKeyStore(folder / str(kill_at), cost=CHEAP))
        except BaseException:
            os._exit(1)
        os._exit(0)
"""


def _killed(folder: Path, operation: str, pem: bytes) -> list[int]:
    """Return how each process ended: by the signal, and the last one by itself."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILDREN, str(folder), operation, INFO.keyid],
        input=pem,
        capture_output=True,
        timeout=60,
        check=True,
    )
    return [int(line) for line in done.stdout.splitlines()]


def _opens(store: FileKeyStore, keyid: str, *passphrases: str) -> bool:
    for passphrase in passphrases:
        try:
            store.private(keyid, passphrase)
        except PassphraseWrong:
            continue
        return True
    return False


@pytest.mark.parametrize("operation", ["add", "retire", "passwd", "remove"])
def test_a_kill_at_any_point_neither_loses_nor_damages_a_key(tmp_path: Path, operation: str) -> None:
    new = generate(Algorithm.ED25519)
    new_info, pem = KeyInfo.of(new, purpose="root"), write_private_pem(new, None)
    FileKeyStore(tmp_path / "before", cost=CHEAP).add(PRIVATE, INFO, "secret")
    *killed, last = _killed(tmp_path, operation, pem)
    assert (set(killed), last) == ({-signal.SIGKILL}, 0)
    for point in range(1, len(killed) + 1):
        store = FileKeyStore(tmp_path / str(point), cost=CHEAP)
        keyids = {k.keyid for k in store.list()}
        assert keyids <= {INFO.keyid, new_info.keyid}
        if operation != "remove":
            assert INFO.keyid in keyids
            assert _opens(store, INFO.keyid, "secret", "new"), f"killed before call {point}"
        if new_info.keyid in keyids:
            assert _opens(store, new_info.keyid, "secret"), f"killed before call {point}"
        # The store is not stuck: the operation can be done again.
        try:
            store.add(new, new_info, "secret")
        except KeysError:
            assert new_info.keyid in keyids
    assert len(killed) >= 3, "the instrument was not reached"
    keyids = {k.keyid for k in FileKeyStore(tmp_path / str(len(killed) + 1), cost=CHEAP).list()}
    assert (new_info.keyid in keyids) is (operation == "add")
