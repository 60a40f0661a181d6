"""Clients of others, and ours, that log in at our server itself: with a password, or an API token in its place."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests.support.docker_client import DockerCli, DockerUser
from tests.support.notary_client import COMMAND_SECONDS, PASSPHRASES, digest_of
from tests.support.programs import program
from tests.support.server_process import ServerProcess, server_command
from tests.support.trust_program import TrustUser
from tests.support.trust_servers import PeerServer

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

PASSWORD = "correct-horse-battery"
NAMES = "localhost:5000/team/*"
UNAUTHORISED = "you are not authorized to perform this operation"


class LoginServer:
    """Ours, over TLS: alice publishes and begins, bob reads, carol does everything; CI signs with a token."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        server_command("migrate", "--data", str(self.data))
        file = folder / "password"
        file.write_text(PASSWORD)
        for user, rights in (("alice", "pull,push,init"), ("bob", "pull"), ("carol", "admin")):
            given = ("--rights", rights, "--names", NAMES, "--password-file", str(file), "--data", str(self.data))
            server_command("access", "user", "add", user, *given)
        token = ("token", "add", "ci", "--rights", "pull,push", "--names", NAMES, "--expires", "1d")
        self.token = server_command("access", *token, "--data", str(self.data)).stdout.strip()
        self.process = ServerProcess(self.data)
        self.process.start("--self-signed")

    def secret_of(self, who: str) -> str:
        return self.token if who == "ci" else PASSWORD


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoginServer]:
    made = LoginServer(tmp_path_factory.mktemp("logins"))
    yield made
    made.process.kill()


@pytest.fixture
def notary(server: LoginServer, tmp_path: Path) -> Callable[..., str]:
    """`notary("alice", "list", GUN)`: what it prints; `refused`: it must fail. `trust`: whose folder."""
    binary = program("notary")

    def run(who: str, *arguments: str, refused: bool = False, trust: str = "") -> str:
        login = base64.b64encode(f"{who}:{server.secret_of(who)}".encode()).decode()
        common = ["-s", server.process.url, "--tlscacert", str(server.process.ca), "-d", str(tmp_path / (trust or who))]
        done = subprocess.run(
            [binary, *common, *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **PASSPHRASES, "NOTARY_AUTH": login},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        printed = done.stdout + done.stderr
        assert (done.returncode != 0) is refused, f"{who}: notary {' '.join(arguments)} -> {done.returncode}\n{printed}"
        return printed

    return run


def test_notary_does_what_each_login_may_do(notary: Callable[..., str]) -> None:
    gun = "localhost:5000/team/notary"
    assert UNAUTHORISED in notary("ci", "init", gun, "-p", refused=True)  # a name that is not there yet
    notary("alice", "init", gun, "-p")
    notary("ci", "addhash", gun, "1.0", "10", "--sha256", digest_of("1.0"), "-p", trust="alice")
    assert digest_of("1.0") in notary("bob", "list", gun)
    notary("alice", "addhash", gun, "2.0", "10", "--sha256", digest_of("2.0"))
    assert UNAUTHORISED in notary("bob", "publish", gun, refused=True, trust="alice")
    assert UNAUTHORISED in notary("alice", "key", "rotate", gun, "timestamp", "-r", refused=True)
    notary("carol", "key", "rotate", gun, "timestamp", "-r", trust="alice")
    notary("mallory", "list", gun, refused=True)
    notary("carol", "delete", gun, "--remote", trust="elsewhere")


@pytest.mark.parametrize("who", ["alice", "ci"])
def test_docker_logs_in_and_finds_a_wrong_password(server: LoginServer, tmp_path: Path, who: str) -> None:
    netloc = server.process.url.removeprefix("https://")
    for password, good in (("guess", False), (server.secret_of(who), True)):
        done = subprocess.run(
            [program("docker"), "login", "--username", who, "--password-stdin", netloc],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "DOCKER_CONFIG": str(tmp_path),
                "DOCKER_HOST": f"unix://{tmp_path}/no-engine.sock",
            },
            input=password,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        assert (done.returncode == 0) is good, done.stderr
    assert netloc in json.loads((tmp_path / "config.json").read_text())["auths"]


def test_docker_publishes_with_a_password_and_with_a_token(
    server: LoginServer, docker_cli: DockerCli, tmp_path: Path
) -> None:
    """It sends the trust server what is stored for the registry of the image."""
    gun, netloc = f"localhost:5000/team/docker-{docker_cli.version[0]}", server.process.url.removeprefix("https://")
    place = SimpleNamespace(url=server.process.url, netloc=netloc, ca=Path(server.process.ca or ""))
    owner = DockerUser(tmp_path / "owner", docker_cli, cast("PeerServer", place))

    def logged_in(who: str) -> None:
        login = base64.b64encode(f"{who}:{server.secret_of(who)}".encode()).decode()
        (owner.config / "config.json").write_text(json.dumps({"auths": {"localhost:5000": {"auth": login}}}))

    for signer, who in (("first", "alice"), ("second", "ci")):
        logged_in(who)
        owner.run("trust", "signer", "add", "--key", str(owner.new_signer_key(signer)), signer, gun)
    logged_in("bob")
    assert sorted(owner.signers(gun)) == ["first", "second"]
    third = owner.new_signer_key("third")
    assert UNAUTHORISED in owner.refused("trust", "signer", "add", "--key", str(third), "third", gun)
    assert sorted(owner.signers(gun)) == ["first", "second"]


@pytest.mark.parametrize("format_", ["tuf", "notary"])
def test_trust_begins_and_reads_with_its_login(server: LoginServer, tmp_path: Path, format_: str) -> None:
    gun = f"localhost:5000/team/{format_}"

    def person(who: str) -> TrustUser:
        user = TrustUser(tmp_path / who, server.process.url)
        user.environ["TRUST_CACERT"] = str(server.process.ca)
        netloc = server.process.url.removeprefix("https://")
        login = base64.b64encode(f"{who}:{server.secret_of(who)}".encode()).decode()
        (user.folder / "docker").mkdir(exist_ok=True)
        (user.folder / "docker" / "config.json").write_text(json.dumps({"auths": {netloc: {"auth": login}}}))
        return user

    ci, alice, bob = person("ci"), person("alice"), person("bob")
    explained = f"(trust-server access explain token:ci {gun} says there why)"
    refused = ci.run("init", gun, "--no-recovery-key", "--format", format_, expect=7)
    refused.said("as token:ci: no rule allows init", f"for the right init {explained}", f"trust whoami {gun} says")
    nobody = TrustUser(tmp_path / "nobody", server.process.url)
    nobody.environ["TRUST_CACERT"] = str(server.process.ca)
    netloc = server.process.url.removeprefix("https://")
    refused = nobody.run("init", gun, "--no-recovery-key", "--format", format_, expect=7)
    refused.said(
        "anonymous", f"next: trust login {netloc}, with an account that has the right pull; trust whoami {gun}"
    )
    alice.run("init", gun, "--no-recovery-key", "--format", format_)
    bob.knows(gun, alice.pin_of(gun))
    bob.run("inspect", gun)
    nobody.run("pin", gun, alice.pin_of(gun), "--format", format_)
    refused = nobody.run("inspect", gun, expect=7)
    found = nobody.run("--json", "doctor", gun, expect=1).document()["findings"]
    (collection,) = [row for row in found if row["severity"] == "wrong" and row["check"] != "registry"]
    assert collection["text"] in refused.stderr
    assert f"next: {collection['remedy']}" in refused.stderr
    alice.run("delete", gun, "--yes", expect=7).said("user:alice", "delete")
    job = TrustUser(tmp_path / "job", server.process.url)
    job.environ |= {"TRUST_CACERT": str(server.process.ca), "TRUST_TOKEN": server.token}
    job.knows(gun, alice.pin_of(gun))
    job.run("inspect", gun)
    job.environ["TRUST_TOKEN"] = f"{server.token[:-1]}{'0' if server.token[-1] != '0' else '1'}"
    job.run("inspect", gun, expect=7).said("is mistyped or cut off" if format_ == "tuf" else "authentication required")


def test_each_login_is_told_who_it_is_and_what_it_may_do(server: LoginServer, tmp_path: Path) -> None:
    gun = "localhost:5000/team/whoami"
    person = TrustUser(tmp_path / "person", server.process.url)
    person.environ["TRUST_CACERT"] = str(server.process.ca)
    place = f"at {server.process.url}"
    nobody = person.run("whoami", gun)
    assert nobody.stdout.splitlines()[:2] == [
        f"anonymous {place}, on {gun}:",
        "pull     refused  no rule allows pull",
    ]
    nobody.said("no login is stored for")
    login = ("login", server.process.url, "--username", "bob", "--password-stdin")
    netloc = server.process.url.removeprefix("https://")
    command = [sys.executable, "-m", "trustcli", *login]
    subprocess.run(command, env={**os.environ, **person.environ}, input=PASSWORD, text=True, check=True)
    assert netloc in (person.folder / "docker" / "config.json").read_text()
    bob = person.run("whoami", gun).stdout.splitlines()
    assert bob[0] == f"user:bob {place}, on {gun}:"
    assert [line for line in bob if "allowed" in line] == ["pull     allowed  what the user brings along allows it"]
    ci = person.run("--json", "whoami", TRUST_TOKEN=server.token).document()
    assert (ci["subject"], ci["authenticated"], ci["name"]) == ("token:ci", "token", None)
    assert ci["expires"].endswith("Z")
    assert not any(held["allowed"] for held in ci["rights"].values())
    wrong = person.run(
        "whoami", gun, expect=7, TRUST_TOKEN=f"{server.token[:-1]}{'0' if server.token[-1] != '0' else '1'}"
    )
    wrong.said("the API token is mistyped or cut off")
