"""A home in which a newer program has worked: what it wrote is refused by name, by commands and hook, and stays."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.support.images import BuiltImage
from tests.support.pulling_node import PATIENT, Node
from tests.support.server_process import ServerProcess
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

NEWER_JSON: Final = '{{"format": "content-trust-{}-2", "all": ["else", "may", "differ"]}}'
NEWER: Final = {
    "pins.toml": "version = 3\n[[pins]]\nall = 'else may differ'\n",
    "seen.json": NEWER_JSON.format("seen"),
    "trust.toml": "version = 2\nall = 'else may differ'\n",
}
_OF_THE_SECOND: Final = "version 2, and this program knows versions up to 1"
TOLD: Final = {
    "pins.toml": "version 3, and this program knows versions up to 2",
    "seen.json": _OF_THE_SECOND,
    "trust.toml": _OF_THE_SECOND,
}
READ: Final = (
    ["verify", "GUN:1.0"],
    ["inspect", "GUN:1.0"],
    ["explain", "GUN:1.0"],
    ["expiring", "GUN"],
    ["audit", "GUN"],
    ["lock", "GUN"],
    ["pull", "GUN:1.0"],
)
CHANGE: Final = (
    ["sign", "GUN:1.0"],
    ["sign", "GUN:1.0", "--plan"],
    ["revoke", "GUN:1.0", "--yes"],
    ["deny", "GUN@sha256:" + "ab" * 32, "--yes"],
    ["renew", "GUN", "--all"],
    ["signer", "list", "GUN"],
    ["signer", "remove", "alice", "GUN"],
    ["key", "rotate", "root", "GUN"],
    ["init", "GUN-new", "--no-recovery-key"],
    ["prune", "GUN", "--yes"],
)
PINS: Final = (["pins"], ["pin", "GUN", "sha256:" + "ab" * 32, "--format", "tuf", "--replace"], ["renew", "--yes"])
USERS: Final = {
    "pins.toml": (*READ, *CHANGE, *PINS),
    "seen.json": (*READ, *CHANGE, PINS[1]),
    "trust.toml": (*READ, *CHANGE, *PINS, ["key", "list"], ["collections"]),
}
"""The commands that read or write each file."""


@pytest.mark.parametrize("name", NEWER)
def test_every_command_refuses_a_newer_file(owner: TrustUser, gun: str, begun: BuiltImage, name: str) -> None:
    file = owner.home / name
    file.write_text(NEWER[name])
    file.chmod(0o600)
    before = {path.name: path.read_bytes() for path in owner.home.iterdir() if path.is_file()}
    for command in USERS[name]:
        ran = owner.run(*(word.replace("GUN", gun) for word in command), "--json", expect=1)
        ran.said(f"{file} is a", TOLD[name])
        ran.said(f"  next: use the version of trust that wrote {file}, or a newer one")
        assert '"file-newer"' in ran.stdout
    after = {path.name: path.read_bytes() for path in owner.home.iterdir() if path.is_file()}
    assert {name: content for name, content in after.items() if not name.startswith(".")} == {
        name: content for name, content in before.items() if not name.startswith(".")
    }


def test_every_command_refuses_a_newer_lock_file(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    owner.run("lock", gun)
    file = owner.folder / "trust.lock"
    file.write_text(file.read_text().replace("content-trust-lock-1", "content-trust-lock-2"))
    before = file.read_bytes()
    commands = [*READ, *(command for command in CHANGE if command[0] != "init"), ["lock"], ["lock", "GUN", "--replace"]]
    for command in [*commands, ["lock", "GUN", "--remove"]]:
        ran = owner.run(*(word.replace("GUN", gun) for word in command), expect=1)
        ran.said("trust.lock is a lock file of version 2, and this program knows versions up to 1")
    assert file.read_bytes() == before


def test_every_command_refuses_a_newer_key(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    owner.run("key", "generate", "alice")
    for file in owner.home.joinpath("private").glob("*.key"):
        file.write_text(NEWER_JSON.format("key").replace("key-2", "key-3"))
    recovery = owner.folder / "recovery.key"
    recovery.write_text(recovery.read_text().replace("content-trust-key-1", "content-trust-key-3"))
    before = owner.key_files()
    for command in (
        ["sign", f"{gun}:1.0"],
        ["key", "list"],
        ["key", "generate", "bob"],
        ["key", "passwd", "alice"],
        ["key", "remove", "alice", "--yes"],
        ["key", "rotate", "targets", gun],
        ["key", "show", "recovery.key"],
        ["init", f"{gun}-new", "--recovery-key", "recovery.key"],
        ["renew", gun, "--all"],
    ):
        owner.run(*command, expect=8).said("is a sealed key of version 3, and this program knows versions up to 2")
    assert owner.key_files() == before
    owner.run("doctor", gun, expect=1)
    owner.run("verify", f"{gun}:1.0")


def test_an_unfinished_rotation_of_a_newer_program_stays(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    file = owner.home / "rotations.json"
    file.write_text('{"version": 2, "rotations": {"all": "else may differ"}}')
    file.chmod(0o600)
    before = file.read_bytes()
    owner.run("key", "rotate", "root", gun, expect=1).said(f"{file} is a record of unfinished rotations of version 2")
    owner.run("sign", f"{gun}:1.0")
    assert file.read_bytes() == before


def test_the_hook_refuses_every_image(
    tmp_path: Path, owner: TrustUser, gun: str, begun: BuiltImage, trust_server: ServerProcess
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(f'[[rule]]\nmatch = "{gun}"\n')
    verifier = f'{PATIENT}\npolicy = "{policy}"'
    node = Node(tmp_path / "node", {gun.partition("/")[0]: trust_server.url}, verifier=verifier)
    node.admin.knows(gun, owner.pin_of(gun))
    node.allows(f"{gun}:1.0", begun.digest)
    for file, newer in (
        (node.state / "seen.json", NEWER["seen.json"]),
        (node.etc / "pins.toml", NEWER["pins.toml"]),
        (node.config, NEWER["trust.toml"]),
        (policy, "version = 2\n[rules]\nall = 'else may differ'\n"),
    ):
        before = file.read_text()
        file.write_text(newer)
        said = node.refuses(f"{gun}:1.0", begun.digest, TOLD.get(file.name, f"of {_OF_THE_SECOND}"), status=1)
        assert file.name in said
        assert file.read_text() == newer
        file.write_text(before)
        node.allows(f"{gun}:1.0", begun.digest)
