"""`docker trust` as our plugin gives it to Docker's CLI: Debian's 20.10 and a newer one on PATH, with real servers."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.docker_client import DockerPeople
from tests.support.docker_engine import UnpackedDocker
from tests.support.loaded_program import Started
from tests.support.notary_keys import new_rsa
from tests.support.stage import People, Put
from tests.support.trust_program import COMMAND_SECONDS, SECRETS, Ran, TrustUser, finished, no_secret_in

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

TRUST_LEFT_WITH = 29
"""From this version on `docker trust` is no command of docker's own, and a plugin of that name is called."""


@dataclass(frozen=True, kw_only=True)
class Cli:
    """A docker CLI. `name`: under which it calls our plugin."""

    binary: str
    path: str
    name: str


def started_plugin(name: str, arguments: tuple[str, ...], folder: Path, environ: dict[str, str]) -> Started:
    module = "tests.support.docker_trust_program"
    return Started(module, [name, *arguments], package="trustcli", cwd=folder, environ=environ)


class DockerUser(TrustUser):
    """Somebody who has the plugin, and variables as Docker Content Trust has them."""

    cli: Cli

    def docker(self, *arguments: str, expect: int | None = 0, options: tuple[str, ...] = (), **environ: str) -> Ran:
        """`docker [options] NAME arguments`, to its end."""
        done = subprocess.run(
            [self.cli.binary, *options, self.cli.name, *arguments],
            cwd=self.folder,
            env=self.of_docker() | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        ran = Ran(command=arguments, status=done.returncode, stdout=done.stdout, stderr=done.stderr)
        no_secret_in(done.stdout + done.stderr)
        assert "Traceback" not in done.stderr, str(ran)
        assert expect is None or ran.status == expect, str(ran)
        return ran

    def called(self, *arguments: str, expect: int | None = 0, **environ: str) -> Ran:
        """What docker does for `docker NAME arguments` once it has found the plugin, which is loaded here already."""
        whole = self.of_docker() | environ
        return finished(started_plugin(self.cli.name, arguments, self.folder, whole), arguments, expect=expect)

    def of_docker(self) -> dict[str, str]:
        """The environment of somebody who knows Docker's variables alone (and where our keys are)."""
        return {
            "PATH": self.cli.path,
            "HOME": self.environ["HOME"],
            "DOCKER_CONFIG": self.environ["DOCKER_CONFIG"],
            "DOCKER_HOST": f"unix://{self.folder}/no-engine.sock",
            "TRUST_HOME": str(self.home),
            "DOCKER_CONTENT_TRUST": "1",
            "DOCKER_CONTENT_TRUST_SERVER": self.environ["TRUST_SERVER"],
            "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE": SECRETS["TRUST_ROOT_PASSPHRASE"],
            "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE": SECRETS["TRUST_REPOSITORY_PASSPHRASE"],
        }


DEBIANS, ON_PATH = "docker-20.10", "docker on PATH"
ONE_DOCKER_AT_FIRST = pytest.mark.parametrize(
    "cli", [DEBIANS, pytest.param(ON_PATH, marks=pytest.mark.long)], indirect=True
)
"""What the plugin does, once docker has called it, is the same whichever docker that was."""


@pytest.fixture(scope="module", params=[DEBIANS, ON_PATH])
def cli(request: pytest.FixtureRequest) -> Cli:
    """Each of the two in turn; the second is skipped where there is none."""
    if request.param == DEBIANS:
        unpacked: UnpackedDocker = request.getfixturevalue("unpacked_docker")
        return Cli(binary=str(unpacked.docker), path=unpacked.path, name="ctrust")
    found = shutil.which("docker")
    if found is None:
        pytest.skip("no docker CLI on PATH: 28 or 29 is missing")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    major = int(version.removeprefix("Docker version ").partition(".")[0])
    return Cli(
        binary=found, path=f"{Path(found).parent}:/usr/bin:/bin", name="trust" if major >= TRUST_LEFT_WITH else "ctrust"
    )


@pytest.fixture
def owner(people: People, cli: Cli) -> DockerUser:
    """Who makes the collections, with the plugin installed."""
    person = people("owner")
    user = DockerUser(person.folder, person.environ["TRUST_SERVER"])
    user.cli = cli
    folder = Path(user.environ["DOCKER_CONFIG"]) / "cli-plugins"
    installed = user.run("plugin", "install").stdout.splitlines()
    assert installed == [str(folder / "docker-trust"), str(folder / "docker-ctrust")]
    return user


@pytest.fixture
def signed(owner: DockerUser, gun: str, put: Put) -> str:
    """The digest of GUN:1.0, signed by docker."""
    image = put("1.0")
    owner.run("init", gun, "--recovery-key", "recovery.key")
    ran = owner.docker("sign", f"{gun}:1.0")
    assert ran.stdout == f"{gun}:1.0@{image.digest}\n"
    return image.digest


def test_docker_finds_it_and_shows_it(owner: DockerUser, cli: Cli) -> None:
    for words in ((cli.name, "--help"), ("help", cli.name), (cli.name,)):
        done = subprocess.run(
            [cli.binary, *words], env=owner.of_docker(), capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0
        assert f"Usage:  docker {cli.name} COMMAND" in done.stdout
        assert all(f"  {command} " in done.stdout for command in ("sign", "inspect", "revoke", "key", "signer", "pull"))
    every = subprocess.run(
        [cli.binary, "--help"], env=owner.of_docker(), capture_output=True, text=True, check=True, timeout=60
    )
    assert f"{cli.name}*" in every.stdout
    assert "Sign images, and verify what is signed" in every.stdout
    assert f"Usage: docker {cli.name} sign" in owner.docker("sign", "--help").stdout
    owner.run("plugin", "uninstall")
    done = subprocess.run(
        [cli.binary, cli.name, "--help"], env=owner.of_docker(), capture_output=True, text=True, check=False, timeout=60
    )
    assert f"Usage:  docker {cli.name} COMMAND" not in done.stdout


@ONE_DOCKER_AT_FIRST
def test_sign_inspect_and_revoke(owner: DockerUser, gun: str, signed: str) -> None:
    for arguments in ((gun,), ("--pretty", gun), (gun, f"{gun}:1.0")):
        assert owner.called("inspect", *arguments).stdout == owner.run("inspect", *arguments).stdout
    asked = ("inspect", f"{gun}:1.0")
    assert owner.docker(*asked).stdout == owner.called(*asked).stdout == owner.run(*asked).stdout
    (told,) = json.loads(owner.run(*asked).stdout)
    assert told["SignedTags"][0]["Digest"] == signed.removeprefix("sha256:")
    assert owner.run("verify", f"{gun}:1.0").stdout == f"{gun}@{signed}\n"

    # One tag goes without a question, all of them do not.
    owner.docker("revoke", gun, expect=1).said("nothing was revoked", "--yes")
    assert owner.docker("revoke", f"{gun}:1.0").stdout == f"revoked {gun}:1.0\n"
    assert json.loads(owner.called("inspect", gun).stdout)[0]["SignedTags"] == []
    owner.called("sign", f"{gun}:1.0")
    owner.docker("revoke", "-y", gun)
    assert json.loads(owner.called("inspect", gun).stdout)[0]["SignedTags"] == []


@ONE_DOCKER_AT_FIRST
def test_signers_and_their_keys(owner: DockerUser, gun: str, signed: str) -> None:
    folder = owner.folder / "public"
    folder.mkdir()
    owner.docker("key", "generate", "alice", "--dir", str(folder))
    owner.docker("signer", "add", "--key", str(folder / "alice.pub"), "alice", gun)
    subprocess.run(
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "bob.sec1"],
        cwd=owner.folder,
        check=True,
    )
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-nocrypt", "-in", "bob.sec1", "-out", "bob.pem"], cwd=owner.folder, check=True
    )
    subprocess.run(
        ["openssl", "ec", "-in", "bob.sec1", "-pubout", "-out", "bob.pub"],
        cwd=owner.folder,
        check=True,
        capture_output=True,
    )
    owner.called("key", "load", "--name", "bob", "bob.pem")
    owner.called("signer", "add", "--key", "bob.pub", "bob", gun)
    owner.called("sign", f"{gun}:1.0")
    (told,) = json.loads(owner.called("inspect", gun).stdout)
    assert told["SignedTags"] == [
        {"SignedTag": "1.0", "Digest": signed.removeprefix("sha256:"), "Signers": ["alice", "bob"]}
    ]
    assert [row["Name"] for row in told["Signers"]] == ["bob", "alice"]
    owner.docker("signer", "remove", "-f", "alice", gun)
    owner.called("signer", "remove", "bob", gun)
    assert json.loads(owner.called("inspect", gun).stdout)[0]["Signers"] == []


def test_a_certificate_is_a_signer_s_key_and_a_private_key_is_refused(owner: DockerUser, gun: str, signed: str) -> None:
    """As docker's documentation has it (TUF 1.0: the key in it; Notary v1: tests/peers/test_side_by_side.py)."""
    files = new_rsa("alice").write(owner.folder, "alice")
    refused = owner.called("signer", "add", "--key", files.private, "alice", gun, expect=1)
    assert "alice.key holds a private key, and a public key is wanted" in refused.stderr
    owner.called("signer", "add", "--key", files.certificate, "alice", gun)
    owner.called("key", "load", "--name", "alice", files.private)
    owner.called("sign", f"{gun}:1.0")
    (told,) = json.loads(owner.called("inspect", gun).stdout)
    assert told["SignedTags"][0]["Signers"] == ["alice"]
    added = owner.run("signer", "add", "--key", files.certificate, "alice", gun, "--json").document()
    assert added["keys"] == [told["Signers"][0]["Keys"][0]["ID"]]


@ONE_DOCKER_AT_FIRST
def test_every_failure_ends_with_one(owner: DockerUser, gun: str, put: Put) -> None:
    put("1.0")
    unknown = owner.docker("inspect", gun, expect=1)
    assert unknown.stdout == "[]\n"
    unknown.said(f"no signatures or cannot access {gun}")
    assert owner.run("inspect", gun, expect=3).stdout == unknown.stdout
    owner.called("sign", f"{gun}:1.0", expect=1).said(f"trust init {gun}")
    owner.run("init", gun, "--no-recovery-key")
    owner.called("sign", f"{gun}:absent", expect=1)
    owner.called("sign", gun, expect=1).said("names no tag")
    owner.called("sign", f"{gun}:1.0", expect=1, DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE="wrong")
    owner.called("sign", "--frob", f"{gun}:1.0", expect=1).said(f"next: docker {owner.cli.name} sign --help")
    owner.called("init", gun, expect=1).said(f"docker {owner.cli.name} has no command 'init'")
    owner.called("pull", f"{gun}:1.0", expect=1)
    owner.called("signer", "remove", "nobody", gun, expect=1)
    owner.called("key", "load", "absent.pem", expect=1)


@ONE_DOCKER_AT_FIRST
def test_docker_s_own_options_count(owner: DockerUser, gun: str, signed: str) -> None:
    """`docker --config DIR`: plugin, credentials and CAs are looked for there, by docker and by us."""
    moved = owner.folder / "elsewhere"
    Path(owner.environ["DOCKER_CONFIG"]).rename(moved)
    told = owner.docker("inspect", gun, options=("--config", str(moved), "-D", "--log-level=error"))
    assert json.loads(told.stdout)[0]["SignedTags"][0]["SignedTag"] == "1.0"
    assert signed.removeprefix("sha256:") in told.stdout
    missing = owner.folder / "no-engine-here.sock"
    asked = owner.docker("pull", f"{gun}:1.0", options=("--config", str(moved), "-H", f"unix://{missing}"), expect=1)
    asked.said(str(missing))


def test_pull_through_a_real_engine(owner: DockerUser, gun: str, signed: str, engine: str, put: Put) -> None:
    """What is pulled is what was signed, whatever the registry's tag has become since."""
    put("1.0", text="moved meanwhile")
    pulled = owner.docker("pull", f"{gun}:1.0", options=("-H", engine))
    assert pulled.stdout == f"Pull (1 of 1): {gun}:1.0@{signed}\n"
    there = subprocess.run(
        [owner.cli.binary, "-H", engine, "image", "inspect", "--format", "{{json .RepoDigests}}", f"{gun}:1.0"],
        env=owner.of_docker() | {"DOCKER_CONTENT_TRUST": "0"},
        capture_output=True,
        text=True,
        check=True,
        timeout=COMMAND_SECONDS,
    )
    assert f"{gun}@{signed}" in json.loads(there.stdout)
    owner.docker("pull", f"{gun}:2.0", options=("-H", engine), expect=1)


def test_what_docker_and_notary_made_looks_the_same(
    docker_people: DockerPeople, collection: str, tmp_path: Path
) -> None:
    """The same bytes as Docker's own `inspect`, for the same collection, in the format of its time; and with docker's
    keys brought over, the plugin goes on where docker stopped.
    """
    docker = docker_people("docker")
    docker.new_signer_key("alice")
    docker.run("trust", "signer", "add", "--key", "alice.pub", "alice", collection)
    made = docker.notary
    made.add(collection, "1.0", into="targets")
    made.add(collection, "10.0", into=("targets/alice", "targets/releases"))
    made.add(collection, "2.0", into=("targets/alice", "targets/releases"))
    plugin = TrustUser(tmp_path / "plugin", docker.server.url)
    plugin.run("plugin", "install", "--dir", str(docker.config / "cli-plugins"))

    def ours(*arguments: str) -> Ran:
        """The same person, through the plugin."""
        environ = docker.environ | {"TRUST_TOFU": "1", "TRUST_HOME": str(plugin.home)}
        return finished(started_plugin("ctrust", arguments, docker.folder, environ), arguments, expect=None)

    for arguments in (
        (collection,),
        ("--pretty", collection),
        (f"{collection}:2.0",),
        ("--pretty", f"{collection}:1.0", collection),
        (collection, f"{collection}:absent", "registry.example.com/nobody/knows"),
    ):
        theirs, told = docker.start(("trust", "inspect", *arguments)), ours("inspect", *arguments)
        assert (told.stdout, told.status) == (theirs.stdout, theirs.returncode), arguments

    assert ours("revoke", f"{collection}:2.0").status == 1, "without any keys"
    imported = ours("key", "import", str(docker.trust))
    assert imported.status == 0, str(imported)
    revoked = ours("revoke", f"{collection}:2.0")
    assert revoked.stdout == f"revoked {collection}:2.0\n", str(revoked)
    assert set(docker.signers_of_tags(collection)) == {"1.0", "10.0"}
    assert ours("inspect", collection).stdout == docker.start(("trust", "inspect", collection)).stdout
