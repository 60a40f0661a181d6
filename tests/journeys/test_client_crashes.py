"""kill -9 of the client at every call with which it changes files or talks to a server.

Afterwards no key, pin or memory is damaged, the collection is wholly old or wholly new, and the same command run again
does its work.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from keys.filestore import FileKeyStore
from tests.support.dying_trust import FEW, DyingTrust, moments
from tests.support.server_process import ServerProcess
from tests.support.stage import People, Put
from tests.support.trust_program import TrustUser
from tests.support.tuf_client import TufClient
from trustcli.state.memory import MemoryFile
from trustcli.state.pins import PinsFile
from trustdata.gun import parse_gun

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


EVERY = pytest.param(None, marks=pytest.mark.long, id="every-moment")
SOME = pytest.param(FEW, id="some-moments")


@pytest.fixture(scope="module")
def dying() -> Iterator[DyingTrust]:
    trust = DyingTrust()
    yield trust
    trust.close()


def nothing_is_damaged(user: TrustUser) -> None:
    """Every file that is there is whole; what a crash left beside them is not taken for one."""
    FileKeyStore(user.home / "private").list()
    for gun in PinsFile(user.home / "pins.toml").load():
        MemoryFile(user.home / "seen.json").load(gun)


@pytest.mark.parametrize("few", [SOME, EVERY])
def test_init(
    *, dying: DyingTrust, people: People, gun: str, trust_server: ServerProcess, tmp_path: Path, few: int | None
) -> None:
    calls = dying.done(people("whole"), "init", f"{gun}/whole", "--recovery-key", "recovery.key").calls
    for moment in moments(calls, few):
        user, name = people(f"user{moment}"), f"{gun}/n{moment}"
        command = ("init", name, "--recovery-key", "recovery.key")
        dying.killed(user, *command, die_before=moment)
        nothing_is_damaged(user)
        keys = user.key_files()
        status = trust_server.get(f"/api/v1/collections/{name}")[0]
        assert status in {200, 404}
        if status == 200:
            TufClient(tmp_path / f"early{moment}", trust_server.url, name).digest_of("none")
        again = dying.run(user, *command)
        if parse_gun(name) in PinsFile(user.home / "pins.toml").load() and again.status == 7:
            assert "is known already (by " in again.stderr  # it had got as far as the pin
        else:
            assert again.status == 0, f"killed before call {moment}: {again}"
        assert user.key_files().items() >= keys.items(), "keys that were there are used, and stay as they were"
        assert len(user.key_files()) == 2
        assert dying.run(user, "verify", f"{name}:1.0").status == 3
        dying.done(user, "key", "rotate", "root", name, "--recovery-key", "recovery.key")
        TufClient(tmp_path / f"late{moment}", trust_server.url, name).digest_of("none")


@pytest.mark.parametrize("few", [SOME, EVERY])
def test_sign(
    *,
    dying: DyingTrust,
    owner: TrustUser,
    gun: str,
    put: Put,
    trust_server: ServerProcess,
    tmp_path: Path,
    few: int | None,
) -> None:
    image = put("whole")
    dying.done(owner, "init", gun, "--no-recovery-key")
    keys, pins = owner.key_files(), (owner.home / "pins.toml").read_bytes()
    calls = dying.done(owner, "sign", f"{gun}:whole").calls
    client = TufClient(tmp_path / "python-tuf", trust_server.url, gun)
    old, new = 0, 0
    for moment in moments(calls, few):
        command = ("sign", f"{gun}:n{moment}@{image.digest}")
        dying.killed(owner, *command, die_before=moment)
        nothing_is_damaged(owner)
        found = client.digest_of(f"n{moment}")
        assert found in {None, image.digest}
        old, new = old + (found is None), new + (found is not None)
        assert client.digest_of("whole") == image.digest
        dying.done(owner, *command)
        assert client.digest_of(f"n{moment}") == image.digest
        assert (owner.key_files(), (owner.home / "pins.toml").read_bytes()) == (keys, pins)
    assert old, "some died before the publish"
    assert new, "and some after it"


@pytest.mark.parametrize("few", [SOME, EVERY])
def test_rotation_of_the_root(
    *,
    dying: DyingTrust,
    owner: TrustUser,
    people: People,
    gun: str,
    put: Put,
    trust_server: ServerProcess,
    tmp_path: Path,
    few: int | None,
) -> None:
    image = put("1.0")
    dying.done(owner, "init", gun, "--no-recovery-key")
    dying.done(owner, "sign", f"{gun}:1.0")
    watcher = people("watcher")
    watcher.knows(gun, owner.pin_of(gun))
    client = TufClient(tmp_path / "python-tuf", trust_server.url, gun)
    command = ("key", "rotate", "root", gun)
    calls = dying.done(owner, *command).calls
    for moment in moments(calls, few):
        keys, before = owner.key_files(), _root_version(trust_server, gun)
        dying.killed(owner, *command, die_before=moment)
        nothing_is_damaged(owner)
        assert owner.key_files().keys() >= keys.keys(), "no key that may still be needed is lost"
        assert _root_version(trust_server, gun) - before in {0, 1}
        assert client.digest_of("1.0") == image.digest
        dying.done(owner, *command)
        assert dying.done(watcher, "verify", f"{gun}:1.0").stdout == f"{gun}@{image.digest}\n"
    assert client.digest_of("1.0") == image.digest


def _root_version(server: ServerProcess, gun: str) -> int:
    return int(json.loads(server.get(f"/api/v1/collections/{gun}")[1])["versions"]["root"])


@pytest.mark.parametrize("few", [SOME, EVERY])
@pytest.mark.parametrize("contact", ["--tofu", "--non-interactive"])
def test_verify(
    *, dying: DyingTrust, owner: TrustUser, people: People, gun: str, put: Put, few: int | None, contact: str
) -> None:
    """First contact on first use, and with a pin."""
    image = put("1.0")
    dying.done(owner, "init", gun, "--no-recovery-key")
    dying.done(owner, "sign", f"{gun}:1.0")
    pin = owner.pin_of(gun)

    def newcomer(name: str) -> TrustUser:
        user = people(name)
        if contact != "--tofu":
            dying.done(user, "pin", gun, pin)
        return user

    command = ("verify", contact, f"{gun}:1.0")
    calls = dying.done(newcomer("whole"), *command).calls
    for moment in moments(calls, few):
        user = newcomer(f"user{moment}")
        dying.killed(user, *command, die_before=moment)
        nothing_is_damaged(user)
        again = dying.done(user, *command)
        assert again.stdout == f"{gun}@{image.digest}\n"
        dying.done(user, "verify", "--offline", f"{gun}:1.0")
        assert user.pin_of(gun) == pin


@pytest.mark.parametrize("few", [SOME, EVERY])
def test_backup_and_restore(*, dying: DyingTrust, people: People, few: int | None) -> None:
    owner = people("owner")
    for name, purpose in (("alice", "signer"), ("bob", "signer"), ("boss", "root")):
        dying.done(owner, "key", "generate", name, "--purpose", purpose)
    keys = owner.key_files()
    calls = dying.done(owner, "key", "backup", "whole.backup", "--all").calls
    for moment in range(1, calls + 1):
        file = owner.folder / f"{moment}.backup"
        dying.killed(owner, "key", "backup", file.name, "--all", die_before=moment)
        assert owner.key_files() == keys
        if file.exists():  # it was not proven yet, but what is there is whole
            dying.done(owner, "key", "backup-verify", file.name)
    backup = str(owner.folder / "whole.backup")
    calls = dying.done(people("whole"), "key", "restore", backup).calls
    for moment in moments(calls, few):
        user = people(f"user{moment}")
        dying.killed(user, "key", "restore", backup, die_before=moment)
        nothing_is_damaged(user)
        before = user.key_files()
        dying.done(user, "key", "restore", backup)
        after = user.key_files()
        assert after.keys() == keys.keys()
        assert after.items() >= before.items(), "keys that were restored stay as they were"
