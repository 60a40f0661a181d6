"""The drill of docs/guides/rotation-drill.md over many collections: whatever happens to keys, the clients go on."""

from __future__ import annotations

import csv
import hashlib
import http.client
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.docker_client import DockerUser, debians_cli
from tests.support.images import BuiltImage, build_image
from tests.support.notary_client import NotaryUser
from tests.support.programs import RunningProgram, push
from tests.support.server_process import ServerProcess
from tests.support.softhsm import QUERY, SoftHsm
from tests.support.trust_program import Ran, TrustUser
from tests.support.trust_servers import PeerServer, peer_of_process
from tests.support.watchers import DockerReader, NotaryReader, TrustReader, TufReader, Watcher
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

TEAM: Final = "drill"
LONG_SECONDS: Final = 3000
"""Of a command that is about 200 collections."""
SHARES: Final = ("--shares", "2/3", "--shares-dir", "stick/shares")
HANDED_IN: Final = tuple(word for n in (3, 1) for word in ("--share", f"stick/shares/keys.backup.share-{n}-of-3.txt"))


Docker = Callable[[Path, PeerServer], DockerUser] | None
"""Makes somebody with `docker` and an engine; None in the format that docker does not speak."""


@dataclass(kw_only=True)
class Drill:
    """A team with many collections, its token, its server, and those who look on."""

    folder: Path
    registry: RunningProgram
    server: ServerProcess
    form: str
    names: list[str]
    hsm: SoftHsm
    released: dict[str, dict[str, str]]
    watchers: list[Watcher] = field(default_factory=list)
    sleepers: list[Watcher] = field(default_factory=list)

    def person(self, name: str) -> TrustUser:
        user = TrustUser(self.folder / name, self.server.url, environ=self.hsm.environ, seconds=LONG_SECONDS)
        if self.server.ca:
            user.environ["TRUST_CACERT"] = self.server.ca
        (user.folder / "team.txt").write_text("".join(f"{gun}\n" for gun in self.names))
        return user

    def peer(self) -> PeerServer:
        return peer_of_process(self.server)

    def look(self) -> None:
        """All that look on find exactly what was released."""
        for watcher in self.watchers:
            watcher.sees(self.released)

    def image(self, gun: str, text: str) -> str:
        """Push an image of this text, and return its digest."""
        layout = self.folder / "layouts" / hashlib.sha256(f"{gun}{text}".encode()).hexdigest()
        image = build_image(layout, text=text)
        push(image, self.registry, gun.partition("/")[2], hashlib.sha256(text.encode()).hexdigest()[:12])
        return image.digest


def put_everywhere(registry: RunningProgram, image: BuiltImage, repositories: Sequence[str]) -> None:
    """Have an image of the first repository in the others, too: its blobs are mounted there, its manifest is put."""
    first, *others = repositories
    push(image, registry, first, "1.0")
    manifest = json.loads(image.raw)
    blobs = [manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
    connection = http.client.HTTPConnection(registry.netloc, timeout=60)
    for other in others:
        for digest in blobs:
            connection.request("POST", f"/v2/{other}/blobs/uploads/?mount={digest}&from={first}")
            answer = connection.getresponse()
            answer.read()
            assert answer.status == http.client.CREATED
        kind = {"Content-Type": manifest["mediaType"]}
        connection.request("PUT", f"/v2/{other}/manifests/1.0", body=image.raw, headers=kind)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == http.client.CREATED
    connection.close()


@pytest.fixture(params=["tuf", "notary"])
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[20, pytest.param(200, marks=pytest.mark.long)])
def drill(
    request: pytest.FixtureRequest, tmp_path: Path, shared_registry: RunningProgram, form: str
) -> Iterator[Drill]:
    """As many collections as there are, before anything is signed."""
    pytest.importorskip("shamir_mnemonic", reason="shamir-mnemonic is not installed")
    hsm = SoftHsm(tmp_path / "hsm")
    hsm.make("vault")
    repositories = [f"{TEAM}-{form}-{request.param}/app-{number:03}" for number in range(request.param)]
    image = build_image(tmp_path / "layout", text=f"hello {form}")
    put_everywhere(shared_registry, image, repositories)
    names = [f"{shared_registry.netloc}/{repository}" for repository in repositories]
    server = ServerProcess(tmp_path / "data")
    server.start(*(["--self-signed"] if form == "notary" else []))
    try:
        yield Drill(
            folder=tmp_path,
            registry=shared_registry,
            server=server,
            form=form,
            names=names,
            hsm=hsm,
            released={gun: {"1.0": image.digest} for gun in names},
        )
    finally:
        server.kill()


@pytest.fixture
def docker(request: pytest.FixtureRequest, form: str) -> Docker:
    """Somebody with `docker` and an engine, where the format is theirs."""
    if form == "tuf":
        return None
    cli = debians_cli(request.getfixturevalue("unpacked_docker"))
    host = request.getfixturevalue("engine")
    return lambda folder, server: DockerUser(folder, cli, server, host=host)


def test_the_drill(drill: Drill, docker: Docker) -> None:
    team = Team(drill)
    digest = team.founded()
    watched_by(team, docker)
    drill.look()
    for step in (
        team.signers_come,
        team.a_signer_leaves,
        team.the_repository_key_is_rotated,
        team.the_root_key_is_rotated,
        team.the_root_key_is_lost,
        team.a_signer_s_key_is_stolen,
        team.the_server_s_keys_are_stolen,
        team.roles_run_out,
        team.the_machine_is_lost,
    ):
        step(digest)
        drill.look()
    for watcher in drill.sleepers:
        watcher.sees(drill.released)
    TrustReader(drill.person("newcomer"), team.pins).sees(drill.released)


def watched_by(team: Team, docker: Docker) -> None:
    """Have clients of ours and of others look on, and as many that look once more at the end."""
    drill = team.drill
    drill.watchers.append(TrustReader(drill.person("laptop"), team.pins))
    drill.sleepers.append(TrustReader(drill.person("node"), team.pins))
    if docker is None:
        drill.watchers.append(TufReader(drill.folder / "python-tuf", drill.server.url, drill.names))
        drill.sleepers.append(TufReader(drill.folder / "python-tuf-asleep", drill.server.url, drill.names))
        return
    drill.watchers.append(NotaryReader(NotaryUser(drill.folder / "notary", drill.peer()), each=5))
    drill.watchers.append(DockerReader(docker(drill.folder / "docker-user", drill.peer())))
    asleep = NotaryReader(NotaryUser(drill.folder / "notary-asleep", drill.peer()))
    asleep.sees(drill.released)
    drill.sleepers.append(asleep)


class Team:
    """The people, and what they do. Each step takes the digest of the image that all collections have."""

    def __init__(self, drill: Drill) -> None:
        self.drill = drill
        self.owner = drill.person("owner")
        self.alice, self.bob, self.thief = (drill.person(name) for name in ("alice", "bob", "thief"))
        self.first = drill.names[0]
        self.found = ("--glob", f"{self.first.rpartition('/')[0]}/*", "--yes")
        self.pins: dict[str, str] = {}

    def every(self, *command: str) -> Ran:
        """Run a command of the owner, which is done in all collections."""
        ran = self.owner.run(*command)
        count = len(self.drill.names)
        assert f"{count} collections: {count} done" in ran.stdout + ran.stderr, str(ran)
        return ran

    def signs(self, user: TrustUser, tag: str, digest: str) -> None:
        """Sign a tag in all collections."""
        user.run("sign", *(f"{gun}:{tag}@{digest}" for gun in self.drill.names))
        for tags in self.drill.released.values():
            tags[tag] = digest

    def founded(self) -> str:
        """A root in the token, a recovery key, one tag."""
        self.owner.run("key", "generate", "root-1", "--purpose", "root", "--at", f"pkcs11:token=vault{QUERY}")
        (self.owner.folder / "stick").mkdir()
        root = ("--root-key", "root-1", "--recovery-key", "stick/recovery.key")
        self.every("init", "--names", "team.txt", *root, "--format", self.drill.form)
        self.pins = {row["gun"]: row["pin"] for row in self.owner.run("--json", "pins").document()["pins"]}
        assert sorted(self.pins) == self.drill.names
        digest = self.drill.released[self.first]["1.0"]
        self.signs(self.owner, "1.0", digest)
        return digest

    def signers_come(self, digest: str) -> None:
        for name, person in (("alice", self.alice), ("bob", self.bob)):
            person.run("key", "generate", name)
            self.every("signer", "add", name, "--key", f"../{name}/{name}.pub", "--names", "team.txt")
            for gun, pin in self.pins.items():
                person.knows(gun, pin)
        self.signs(self.alice, "2.0", digest)
        self.bob.run("sign", f"{self.first}:3.0@{digest}")
        self.drill.released[self.first]["3.0"] = digest

    def a_signer_leaves(self, digest: str) -> None:
        """What bob has signed stays; he signs nothing more, and his key counts for nothing anywhere."""
        his = self.keys("targets/bob")
        self.every("signer", "remove", "bob", "--everywhere", "--yes")
        self.bob.run("sign", f"{self.first}:4.0@{digest}", expect=8)
        assert not left_out(his, self.keys())

    def the_repository_key_is_rotated(self, digest: str) -> None:
        del digest
        before = self.keys(TARGETS)
        self.every("key", "rotate", "targets", *self.found)
        assert not left_out(before, self.keys())

    def the_root_key_is_rotated(self, digest: str) -> None:
        """To another key in the token, with a plan and a report of all."""
        del digest
        self.owner.run("key", "generate", "root-2", "--purpose", "root", "--at", f"pkcs11:token=vault{QUERY}")
        rotation = ("key", "rotate", "root", "--all-with", "root-1", "--key", "root-2")
        planned = self.owner.run("--json", *rotation, "--plan").document()
        assert planned["feasible"]
        assert sorted(plan["gun"] for plan in planned["plans"]) == self.drill.names
        pins = [len(plan["refused_pins"]) for plan in planned["plans"]]
        # The certificate of the key that goes; that of the recovery key let nobody in since it has not signed the root.
        assert pins == [1 if self.drill.form == "notary" else 0] * len(pins)
        before = self.keys(ROOT, name="root-1")
        self.every(*rotation, "--yes", "--report", "report.csv")
        assert not left_out(before, self.keys())
        assert {len(keys) for keys in self.keys(ROOT, name="root-2").values()} == {1}
        with (self.owner.folder / "report.csv").open() as file:
            assert [row["state"] for row in csv.DictReader(file)] == ["done"] * len(self.drill.names)

    def the_root_key_is_lost(self, digest: str) -> None:
        """The token is gone. The recovery key puts a key of another one in its place, in all collections at once."""
        del digest
        tokens = self.drill.hsm.tokens
        tokens.rename(tokens.with_name("lost"))
        tokens.mkdir()
        self.drill.hsm.make("safe")
        self.owner.run("key", "rotate", "root", self.first, expect=8).said("there is no token token=vault")
        before, lost = self.keys(ROOT, name="root-2"), self.row("root-2")["keyid"]
        self.owner.run("key", "remove", "root-2", "--yes")
        self.owner.run("key", "generate", "root-3", "--purpose", "root", "--at", f"pkcs11:token=safe{QUERY}")
        replaced = ("--all-with", lost, "--key", "root-3", "--recovery-key", "stick/recovery.key", "--yes")
        self.every("key", "rotate", "root", *replaced)
        assert not left_out(before, self.keys())
        assert {len(keys) for keys in self.keys(ROOT).values()} == {2}

    def a_signer_s_key_is_stolen(self, digest: str) -> None:
        """The thief has moved one tag and added another, before anybody knows."""
        evil = self.drill.image(self.first, "evil")
        shutil.copytree(self.alice.home, self.thief.home, dirs_exist_ok=True)
        self.thief.run("sign", f"{self.first}:2.0@{evil}", f"{self.first}:5.0@{evil}")
        hers = self.keys("targets/alice")
        told = self.owner.run("--json", "key", "compromised", "../alice/alice.pub").document()
        assert sorted(row["gun"] for row in told["collections"]) == self.drill.names
        # The team's own records say what stays; the tag that was moved is signed again.
        records = [(gun, tag) for gun, tags in self.drill.released.items() for tag in tags]
        records.remove((self.first, "2.0"))
        (self.owner.folder / "keep.txt").write_text("".join(f"{gun}:{tag}@{digest}\n" for gun, tag in records))
        self.every("key", "compromised", "../alice/alice.pub", "--remove", "--yes", "--keep-images", "keep.txt")
        assert not left_out(hers, self.keys())
        self.owner.run("sign", f"{self.first}:2.0@{digest}")
        self.thief.run("sign", f"{self.first}:6.0@{evil}", expect=8)

    def the_server_s_keys_are_stolen(self, digest: str) -> None:
        """The operator has mended the server; the owner replaces both keys of every collection."""
        del digest
        before = self.keys(SNAPSHOT, TIMESTAMP)
        self.every("key", "rotate", "snapshot", *self.found)
        self.every("key", "rotate", "timestamp", *self.found)
        assert not left_out(before, self.keys())

    def roles_run_out(self, digest: str) -> None:
        """Whoever asks is told in time, and renews."""
        del digest
        within = ("--within", "366d" if self.drill.form == "tuf" else "1096d")
        due = self.owner.run("--json", "expiring", "--all", *within, expect=1).document()
        assert sorted(row["gun"] for row in due["expiring"] if row["role"] == TARGETS) == self.drill.names
        self.every("renew", *within, "--names", "team.txt")

    def the_machine_is_lost(self, digest: str) -> None:
        """Shares bring the keys back; of the root's, which the token has, the entry."""
        self.owner.run("key", "backup", "stick/keys.backup", "--all", *SHARES)
        before = self.row("root-3")
        shutil.rmtree(self.owner.home)
        for gun, pin in self.pins.items():
            self.owner.knows(gun, pin)
        restored = self.owner.run("key", "restore", "stick/keys.backup", *HANDED_IN)
        restored.said("it lives at pkcs11:token=safe")
        assert f"root key root-3 ({before['keyid'][:12]}) recorded: an entry alone\n" in restored.stdout
        assert self.row("root-3") == before
        self.owner.run("key", "test", "root-3")
        self.signs(self.owner, "7.0", digest)
        self.every("key", "rotate", "timestamp", *self.found)

    def keys(self, *roles: str, name: str = "") -> dict[str, set[str]]:
        """Ids of the keys of these roles (of any) in each collection; `name`: what the key is called here."""
        audited = self.owner.run("--json", "audit", "--names", "team.txt").document()["collections"]
        found = {
            each["gun"]: {
                key["keyid"]
                for key in each["keys"]
                if name in ("", key["name"]) and any(not roles or right["role"] in roles for right in key["rights"])
            }
            for each in audited
        }
        assert sorted(found) == self.drill.names
        return found

    def row(self, name: str) -> dict[str, Any]:
        """A key of the owner's store, without what the machine has seen of it."""
        rows: list[dict[str, Any]] = self.owner.run("--json", "key", "list").document()["keys"]
        (found,) = (row for row in rows if row["name"] == name)
        return {member: value for member, value in found.items() if member not in {"collections", "last_signed"}}


def left_out(before: Mapping[str, set[str]], after: Mapping[str, set[str]]) -> list[str]:
    """Collections that still have a key that they had, or that had none."""
    return [gun for gun, keys in before.items() if not keys or keys & after[gun]]
