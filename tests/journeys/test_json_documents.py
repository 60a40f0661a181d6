"""Every command with `--json`, where it does what it is for, and where it cannot: one document, as its schema says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.containerd_configs import DEFAULT_3
from tests.support.json_documents import FAILURE, documented_commands, schema_for
from tests.support.json_schema import schema
from tests.support.stage import People, Put
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

ELSEWHERE = {
    "agent": "journeys/test_agent",
    "demo": "journeys/test_demo",
    "hook-admission": "journeys/test_admission",
    "hook-proxy": "journeys/test_hook_proxy",
    "login": "journeys/test_trust_login",
    "migrate-from-notary": "peers/test_migration",
    "pull": "peers/test_engine_pull",
}
"""Schemas of commands that do what they are for only beside programs that other tests start."""


class Life:
    """What becomes of a collection, told in documents."""

    def __init__(self, owner: TrustUser, reader: TrustUser, gun: str, put: Put) -> None:
        self.owner, self.reader, self.gun, self.put = owner, reader, gun, put
        self.shown: set[str] = set()
        """The schemas of the documents that said more than a failure."""

    def run(self, *command: str, user: TrustUser | None = None, expect: int = 0, **environ: str) -> None:
        """Run a command, which holds its document against the schema."""
        document = (user or self.owner).run(*command, "--json", expect=expect, **environ).document()
        if isinstance(document, list) or set(document) != {"error", "exit"}:
            self.shown.add(schema_for([*command, "--json"]))

    def publish(self, form: str) -> None:
        run, gun = self.run, self.gun
        self.put("1.0")
        options = ("--format", form, "--recovery-key", "recovery.key")
        run("init", gun, *options, "--plan")
        run("init", gun, *options)
        run("sign", f"{gun}:1.0", "--plan")
        run("sign", f"{gun}:1.0")
        run("sign", f"{gun}:none", expect=3)
        run("key", "generate", "alice")
        run("signer", "add", "alice", gun, "--key", "alice.pub", "--plan")
        run("signer", "add", "alice", gun, "--key", "alice.pub")
        run("signer", "list", gun)
        run("sign", f"{gun}:1.0", f"{gun}:2.0@{self.put('2.0', text='two', index=True).digest}")
        run("key", "rotate", "root", gun, "--plan")
        run("key", "rotate", "root", gun)
        run("key", "rotate", "targets", gun)

    def read(self, form: str) -> None:
        run, gun, reader = self.run, self.gun, self.reader
        run("pin", gun, self.owner.pin_of(gun), "--format", form, user=reader)
        run("pins", user=reader)
        run("verify", f"{gun}:1.0", f"{gun}:none", user=reader, expect=3)
        run("inspect", gun, f"{gun}-none", user=reader, expect=3)
        run("explain", f"{gun}:1.0", user=reader)
        run("explain", f"{gun}:1.0", f"{gun}:none", f"{gun}-none:1.0", user=reader, expect=3)
        run("pull", f"{gun}:1.0", user=reader, expect=6)  # there is no engine
        run("audit", gun, f"{gun}-none", user=reader, expect=3)

    def keep(self) -> None:
        run, gun = self.run, self.gun
        run("lock", gun)
        run("lock", gun)
        run("lock", "--remove", gun)
        run("lock", f"{gun}-none", expect=3)
        run("expiring", gun, "--within", "4000d", expect=1)
        run("renew", gun, "--all", "--plan")
        run("renew", gun, "--all")
        run("doctor")
        run("doctor", gun)
        run("collections")

    def keys(self) -> None:
        run, owner, reader = self.run, self.owner, self.reader
        run("key", "list")
        run("key", "compromised", "alice", self.gun, f"{self.gun}-none", expect=3)
        run("key", "compromised", "alice", self.gun, "--plan")
        run("key", "test", "alice")
        run("key", "test", "alice", "nobody", expect=8)
        run("key", "export", "alice", "-o", "alice.pem")
        run("key", "show", "alice.pem", "alice.pub", "recovery.key")
        run("key", "show", "alice.pem", "none.pem", "--decrypt", expect=8)
        folder = reader.folder / "keys"
        folder.mkdir()
        shutil.copy(owner.folder / "alice.pem", folder / "alice.key")
        shutil.copy(owner.folder / "alice.pub", folder / "public.key")
        run("key", "import", "keys/alice.key", "--name", "alice", user=reader)
        run("key", "import", "keys", user=reader, expect=8)
        backup = str(owner.folder / "keys.backup")
        run("key", "backup", backup, "--all")
        run("key", "backup-verify", backup)
        run("key", "restore", backup, user=reader)
        run("key", "restore", backup, "none", user=reader, expect=8)
        run("key", "passwd", "alice", TRUST_NEW_PASSPHRASE="Neues-Geheimnis-99")
        run("key", "remove", "alice", "--yes")

    def scan(self) -> None:
        run, reader = self.run, self.reader
        known = [f"{self.gun}@sha256:{'cd' * 32}", "sha256:" + "11" * 32]
        states = [{"name": "app", "image": self.gun, "imageID": each, "state": {"running": {}}} for each in known]
        (reader.folder / "pods.json").write_text(json.dumps({"kind": "Pod", "status": {"containerStatuses": states}}))
        run("scan", "--pods", "pods.json", user=reader, expect=3)

    def deny(self, form: str) -> None:
        run, gun, refused = self.run, self.gun, 0 if form == "tuf" else 7
        denied = f"{gun}@sha256:{'ab' * 32}"
        run("deny", denied, "--plan", expect=refused)
        run("deny", denied, "--reason", "a test", "--yes", expect=refused)
        run("deny", "--list", gun, f"{gun}-none", expect=3)
        run("deny", "--remove", denied, "--yes")

    def end(self) -> None:
        run, gun = self.run, self.gun
        run("prune", gun, "--plan")
        run("prune", gun, "--yes")
        run("revoke", f"{gun}:2.0", "--plan")
        run("revoke", f"{gun}:2.0", "--yes")
        run("key", "generate", "alice-2")
        run("signer", "rotate", "alice", gun, "--new-key", "alice-2", "--plan")
        run("signer", "rotate", "alice", gun, "--new-key", "alice-2")
        run("signer", "remove", "alice", gun, "--plan")
        run("signer", "remove", "alice", gun)
        run("signer", "remove", "alice", gun, f"{gun}-none", expect=3)
        run("delete", gun, f"{gun}-none", "--plan", expect=3)
        run("delete", gun, "--yes")
        run("delete", gun, f"{gun}-none", "--yes", expect=3)
        run("verify", f"{gun}:1.0", user=self.reader, expect=4)

    def install(self, folder: Path) -> None:
        run = self.run
        run("login", expect=2)  # this server wants none
        run("logout")
        run("whoami")
        run("completion", "bash")
        run("plugin", "install")
        run("plugin", "uninstall")
        theirs, ours = folder / "policy.json", folder / "policy.toml"
        theirs.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        ours.write_text(f'[[rule]]\nmatch = "{self.gun}"\nsigners = ["alice"]\n')
        run("policy", "convert", "--from", "containers", str(theirs))
        run("policy", "check", str(ours), f"{self.gun}:1.0", "elsewhere.example.com/x:1", expect=5)
        run("policy", "check", "--distributed", str(ours))
        run("policy", "push", str(ours), f"{self.gun}:policy", "--plan")
        run("policy", "push", str(ours), f"{self.gun}:policy")
        run("hook", "containerd", "--bin-dir", str(folder / "bin"))
        config = folder / "config.toml"
        config.write_text(DEFAULT_3)
        run("doctor", "containerd", "--config", str(config), expect=1)
        run("migrate", "from-notary", "http://127.0.0.1:1", expect=6)


@pytest.mark.parametrize("form", ["tuf", pytest.param("notary", marks=pytest.mark.long)])
def test_a_life_in_documents(tmp_path: Path, people: People, gun: str, put: Put, form: str) -> None:
    life = Life(people("owner"), people("reader"), gun, put)
    life.publish(form)
    life.read(form)
    life.keep()
    life.keys()
    life.scan()
    life.deny(form)
    life.end()
    life.install(tmp_path)
    assert life.shown | set(ELSEWHERE) == set(documented_commands().values())


@pytest.mark.parametrize("command", [*documented_commands(), ("veryfi",)], ids=" ".join)
def test_a_command_line_that_means_nothing_has_a_document(owner: TrustUser, command: tuple[str, ...]) -> None:
    document = owner.run(*command, "--no-such-option", "--json", expect=2).document()
    assert document["error"]["code"] == "usage"
    assert sorted(document) == sorted(schema("common.json")["$defs"][FAILURE]["required"])
