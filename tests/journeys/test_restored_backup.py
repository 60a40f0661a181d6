"""A server restored from a backup: clients refuse, the server notices, and the guide's steps lead out of it."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tuf.ngclient import Updater, UpdaterConfig

from tests.support.images import build_image
from tests.support.programs import RunningProgram, program, push
from tests.support.server_owner import Owner
from tests.support.server_process import ServerProcess, server_command
from tests.support.trust_program import TrustUser
from trustdata.roles import ROOT
from trustserver.process.kernel_clock import now

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

GUN = "registry.example.com/team/app"
SENTENCE = "(restored from a backup? docs/guides/restored-backup.md)"


class Town:
    """A server, a registry, an owner of two collections, a client that verifies both, and python-tuf beside it."""

    def __init__(self, folder: Path, registry: RunningProgram) -> None:
        self.folder = folder
        self.server = ServerProcess(folder / "data")
        self.lost, self.kept = f"{registry.netloc}/lost", f"{registry.netloc}/kept"
        self._registry = registry
        self.start()
        self.owner, self.client = (TrustUser(folder / name, self.server.url) for name in ("owner", "client"))
        for gun in (self.lost, self.kept):
            self.push(gun, "1.0")
            self.owner.run("init", gun, "--recovery-key", "recovery.key")
            self.owner.run("sign", f"{gun}:1.0")
            self.client.knows(gun, self.owner.pin_of(gun))

    def start(self, *, days: int = 0) -> None:
        self.server.program = ("tests.journeys.late_server" if days else "trustserver", "serve")
        self.server.start(environ={"DAYS": str(days)})
        for user in (getattr(self, "owner", None), getattr(self, "client", None)):
            if user is not None:
                user.environ["TRUST_SERVER"] = self.server.url

    def push(self, gun: str, tag: str) -> None:
        image = build_image(self.folder / f"{gun.rpartition('/')[2]}-{tag}", text=f"{gun} {tag}")
        push(image, self._registry, gun.partition("/")[2], tag)

    def backup(self) -> None:
        """As `sqlite3 trust.db ".backup backup.db"` does it, beside the running server."""
        with (
            contextlib.closing(sqlite3.connect(self.server.data / "trust.db")) as source,
            contextlib.closing(sqlite3.connect(self.folder / "backup.db")) as target,
        ):
            source.backup(target)

    def restore(self) -> None:
        """What the guide types, of a stopped server."""
        for path in self.server.data.glob("trust.db*"):
            path.unlink()
        shutil.copyfile(self.folder / "backup.db", self.server.data / "trust.db")
        (self.server.data / "trust.db").chmod(0o600)

    def trust_server(self, *arguments: str, status: int) -> subprocess.CompletedProcess[str]:
        return server_command(*arguments, "--data", str(self.server.data), expect=status)

    def check(self, *options: str, status: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.trust_server("check", "--json", *options, status=status).stdout)
        return found

    def python_tuf(self, gun: str, tag: str) -> bool:
        """A client of another make with its own cache, from the first root."""
        folder = self.folder / f"python-tuf-{gun.rpartition('/')[2]}"
        bootstrap = None if folder.exists() else self.server.get(f"/tuf/{gun}/metadata/1.root.json")[1]
        folder.mkdir(exist_ok=True)
        base = f"{self.server.url}/tuf/{gun}/metadata/"
        updater = Updater(
            str(folder), base, target_dir=str(folder), target_base_url=base, config=UpdaterConfig(), bootstrap=bootstrap
        )
        updater.refresh()
        return updater.get_targetinfo(tag) is not None


@pytest.fixture
def town(tmp_path: Path, registry: RunningProgram) -> Iterator[Town]:
    made = Town(tmp_path, registry)
    yield made
    made.server.kill()


@pytest.fixture
def gone_back(town: Town) -> Callable[[], None]:
    """After the backup: a tag more in one collection, a renewal in both, all of it seen by the clients. Then back."""

    def go_back() -> None:
        town.backup()
        town.push(town.lost, "1.1")
        town.owner.run("sign", f"{town.lost}:1.1")
        assert town.server.stop() == 0
        town.start(days=2)
        for gun, tags in ((town.lost, ("1.0", "1.1")), (town.kept, ("1.0",))):
            for tag in tags:
                town.client.run("verify", f"{gun}:{tag}")
                assert town.python_tuf(gun, tag)
        assert town.server.stop() == 0
        town.restore()

    return go_back


def test_the_guide_leads_operator_owner_and_clients_out_of_it(town: Town, gone_back: Callable[[], None]) -> None:
    gone_back()
    # 1. The server refuses to start, and says what is the matter.
    refused = town.trust_server("serve", "--listen", "127.0.0.1:0", status=2).stderr
    assert "is older than what this server has published (2 collections" in refused
    assert "trust-server check --accept-restore" in refused
    findings = town.check(status=1)["findings"]
    assert {(each["gun"], each["code"]) for each in findings} == {
        (town.lost, "older-than-published"),
        (town.kept, "older-than-published"),
    }
    # 2. What the clients have seen is known as well, here from the memory of one.
    seen = str(town.client.home / "seen.json")
    findings = town.check("--against", seen, status=1)["findings"]
    assert {"older-than-published", "older-than-remembered"} == {each["code"] for each in findings}
    # 3. The operator means it.
    report = town.check("--accept-restore", status=1)
    assert {each["gun"]: each["lost"] for each in report["accepted"]} == {town.lost: {"targets": 3}, town.kept: {}}
    assert [(each["gun"], each["code"]) for each in report["findings"]] == [(town.lost, "lost")]
    assert town.check(status=0)["findings"] == []
    town.start()
    # Whose owner published nothing since the backup: everybody goes on, with old memory and caches.
    town.client.run("verify", f"{town.kept}:1.0")
    assert town.python_tuf(town.kept, "1.0")
    town.push(town.kept, "2.0")
    town.owner.run("sign", f"{town.kept}:2.0")
    town.client.run("verify", f"{town.kept}:2.0")
    assert town.python_tuf(town.kept, "2.0")
    # Where the owner's part is missing, clients and owner still refuse.
    for user, command in ((town.client, ("verify", f"{town.lost}:1.0")), (town.owner, ("inspect", town.lost))):
        user.run(*command, expect=4).said("targets version 2 is older than version 3", SENTENCE)
    # 4. The owner: forgets, replaces the snapshot key, and signs again what was lost.
    town.owner.run("pin", "--replace", town.lost, town.owner.pin_of(town.lost))
    town.owner.run("key", "rotate", "snapshot", town.lost)
    town.client.run("verify", f"{town.lost}:1.0")
    town.client.run("verify", f"{town.lost}:1.1", expect=3)
    town.owner.run("sign", f"{town.lost}:1.1")
    for tag in ("1.0", "1.1"):
        town.client.run("verify", f"{town.lost}:{tag}")
        assert town.python_tuf(town.lost, tag)
    assert town.check("--against", seen, status=0)["sound"]


def test_a_root_that_was_lost_is_published_again_out_of_a_cache(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data")
    try:
        server.start()
        owner = Owner(now())
        owner.tags = {"1.0": "ab" * 32}
        server.learn_keys(owner, GUN)
        assert server.publish(GUN, owner.first_upload())[0] == 200
        assert server.stop() == 0
        backup = (server.data / "trust.db").read_bytes()
        server.start()
        assert server.publish(GUN, {ROOT: owner.root()})[0] == 200
        (tmp_path / "2.root.json").write_bytes(server.get(f"/tuf/{GUN}/metadata/2.root.json")[1])
        assert server.stop() == 0
        for path in server.data.glob("trust.db*"):
            path.unlink()
        (server.data / "trust.db").write_bytes(backup)
        command = [sys.executable, "-m", "trustserver", "check", "--accept-restore", "--data", str(server.data)]
        accepted = subprocess.run(command, capture_output=True, text=True, check=False)
        assert f"{GUN}: was published and is not here: root 2" in accepted.stdout
        server.start()
        form = f"files=@{tmp_path / '2.root.json'};filename=root"
        url = f"{server.url}/api/v1/collections/{GUN}/publish"
        subprocess.run([program("curl"), "-sS", "--fail-with-body", "-F", form, url], check=True, capture_output=True)
        assert server.get(f"/tuf/{GUN}/metadata/2.root.json")[1] == (tmp_path / "2.root.json").read_bytes()
    finally:
        server.kill()


def test_where_the_witness_went_back_too_clients_refuse_and_their_memory_tells(
    town: Town, gone_back: Callable[[], None]
) -> None:
    gone_back()
    (town.server.data / "revisions.witness").unlink()
    town.start()
    for gun in (town.lost, town.kept):
        town.client.run("verify", f"{gun}:1.0", expect=4).said("is older than version", SENTENCE)
    seen = str(town.client.home / "seen.json")
    findings = town.check("--against", seen, status=1)["findings"]
    assert {each["gun"] for each in findings} == {town.lost, town.kept}
    assert town.server.stop() == 0
    report = town.check("--accept-restore", "--against", seen, status=1)
    assert {each["gun"]: bool(each["lost"]) for each in report["accepted"]} == {town.lost: True, town.kept: False}
    town.start()
    town.client.run("verify", f"{town.kept}:1.0")
