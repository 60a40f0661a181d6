"""Names from files of Windows, for every command that takes names, and variables from such files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.support.images import BuiltImage
from tests.support.server_process import ServerProcess
from tests.support.stage import Put
from tests.support.trust_program import TrustUser
from trustcli.commands.table import COMMANDS

GUN = "127.0.0.1:1/app"
DEAD = "http://127.0.0.1:1"
LINES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("init",): (GUN, "--no-recovery-key"),
    ("sign",): (f"{GUN}:1.0", f"{GUN}:2.0"),
    ("verify",): (f"{GUN}:1.0", f"{GUN}:2.0"),
    ("pull",): (f"{GUN}:1.0",),
    ("inspect",): (GUN, f"{GUN}:2.0"),
    ("revoke",): (f"{GUN}:1.0", "--yes"),
    ("deny",): (f"{GUN}@sha256:{'ab' * 32}", "--yes"),
    ("signer", "add"): ("--key", "alice.pub", "alice", GUN, f"{GUN}/b"),
    ("signer", "remove"): ("alice", GUN, f"{GUN}/b"),
    ("signer", "rotate"): ("alice", GUN, f"{GUN}/b", "--new-key", "alice"),
    ("signer", "list"): (GUN,),
    ("key", "generate"): ("bob", "--dir", "nowhere"),
    ("key", "rotate"): ("targets", GUN, f"{GUN}/b"),
    ("key", "compromised"): ("alice", GUN, f"{GUN}/b"),
    ("pin",): (GUN, "sha256:" + "ab" * 32),
    ("lock",): (f"{GUN}:1.0", GUN),
    ("expiring",): (GUN, f"{GUN}/b"),
    ("renew",): (GUN, f"{GUN}/b"),
    ("migrate", "from-notary"): (DEAD, GUN, f"{GUN}/b"),
    ("explain",): (f"{GUN}:1.0",),
    ("doctor",): (GUN,),
    ("audit",): (GUN, f"{GUN}/b"),
    ("prune",): (GUN, f"{GUN}/b", "--yes"),
    ("whoami",): (GUN,),
    ("delete",): (GUN, f"{GUN}/b", "--yes"),
    ("policy", "check"): ("policy.toml", f"{GUN}:1.0", f"{GUN}/b"),
    ("policy", "push"): ("policy.toml", f"{GUN}:1.0", "--yes"),
}
"""Each command that takes names of images, collections, signers or keys, with words for it. No server is there."""
ODD: dict[str, Callable[[str], str]] = {
    "CR": lambda word: f"{word}\r",
    "CRLF": lambda word: f"{word}\r\n",
    "byte order mark": lambda word: f"\ufeff{word}\r",
    "what a shell leaves of UTF-16": lambda word: f"\udcff\udcfe{word}\r\n",
    "the same, big end first": lambda word: f"\udcfe\udcff{word}",
}


def commands_with_names() -> Iterator[tuple[str, ...]]:
    def below(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        if subcommands := getattr(command, "commands", None):
            for name, subcommand in subcommands.items():
                yield from below(subcommand, (*path, name))
            return
        metavars = [row.metavar or "" for row in command.params if row.param_type_name == "argument"]
        if any("NAME" in metavar or "IMAGE" in metavar for metavar in metavars):
            yield tuple(word for word in path if word != "NAME")

    for name, entry in COMMANDS.items():
        module = import_module(entry.module)
        yield from below(typer.main.get_command(module.app), (name,)) if hasattr(module, "app") else [(name,)]


def test_every_command_that_takes_names_is_in_the_table() -> None:
    assert set(commands_with_names()) == set(LINES)


@pytest.fixture
def person(tmp_path: Path) -> TrustUser:
    someone = TrustUser(tmp_path / "person", DEAD)
    someone.run("key", "generate", "alice")
    (someone.folder / "policy.toml").write_text(f"[[rule]]\nmatch = '{GUN}'\n")
    return someone


@pytest.mark.parametrize("command", LINES, ids=" ".join)
def test_a_command_does_the_same_with_names_from_such_files(person: TrustUser, command: tuple[str, ...]) -> None:
    words = LINES[command]
    plain = person.run(*command, *words, expect=None)
    for name, change in ODD.items():
        odd = person.run(*command, *(word if word[0] == "-" else change(word) for word in words), "\r", expect=None)
        assert (odd.status, odd.stdout, odd.stderr) == (plain.status, plain.stdout, plain.stderr), name


VARIABLES = {
    "TRUST_SERVER": DEAD,
    "TRUST_TOFU": "1",
    "TRUST_PIN": "sha256:" + "ab" * 32,
    "TRUST_HOME": "home",
    "TRUST_CACERT": "ca.crt",
    "DOCKER_CONFIG": "docker",
    "NO_PROXY": "127.0.0.1",
}


def test_variables_from_such_files_mean_what_they_say(tmp_path: Path) -> None:
    """A home or a folder of Docker with a CR in its name would be another one, and empty."""
    person = TrustUser(tmp_path / "person", DEAD)
    (person.folder / "ca.crt").write_text("none")
    before = person.run("verify", f"{GUN}:1.0", expect=None, **VARIABLES)
    after = person.run("verify", f"{GUN}:1.0", expect=None, **{k: f"{v}\r" for k, v in VARIABLES.items()})
    assert (after.status, after.stdout, after.stderr) == (before.status, before.stdout, before.stderr)
    person.run("key", "generate", "k", TRUST_HOME=f"{person.home}\r")
    assert [path.name for path in person.folder.glob("home*")] == ["home"]


def test_passphrases_are_tried_as_they_are(person: TrustUser) -> None:
    """Their own rule: a key that was made with such a variable opens with it, and without its line end."""
    person.run("key", "generate", "carol", TRUST_REPOSITORY_PASSPHRASE="a good passphrase\r")
    person.run("key", "export", "carol", "-o", "one.pem", TRUST_REPOSITORY_PASSPHRASE="a good passphrase\r")
    person.run("key", "export", "carol", "-o", "two.pem", TRUST_REPOSITORY_PASSPHRASE="a good passphrase")


def test_variables_of_the_server(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data")
    server.start(environ={"TRUST_SERVER_TRUSTED_PROXY": "127.0.0.1\r", "TRUST_SERVER_WORKERS": "1\r"})
    try:
        assert server.get("/readyz")[0] == 200
    finally:
        server.kill()


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_names_from_files_are_signed_and_verified(
    owner: TrustUser, gun: str, begun: BuiltImage, put: Put, end: str
) -> None:
    """As `mapfile`, `xargs` and `$(cat FILE)` hand them over; empty lines and a byte order mark among them."""
    put("2.0", text="other")
    owner.run("sign", f"\ufeff{gun}:2.0{end}")
    ran = owner.run("verify", f"\ufeff{gun}:1.0{end}", end, f"{gun}:2.0{end}")
    assert ran.stdout.splitlines()[0] == f"{gun}@{begun.digest}"
    assert len(ran.stdout.splitlines()) == 2
    owner.run("verify", "", f"{gun}:1.0", expect=None).said("'' is no valid image reference")
