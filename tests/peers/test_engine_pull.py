"""`trust pull` and `trust sign --local` with a real Docker engine: only what is signed is ever pulled."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.docker_engine import UnpackedDocker
from tests.support.programs import RunningProgram, free_port
from tests.support.server_process import ServerProcess
from tests.support.stage import Put
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


class Docker:
    """The engine as its own CLI sees it."""

    def __init__(self, unpacked: UnpackedDocker, host: str, folder: Path) -> None:
        self.host = host
        self._binary = str(unpacked.docker)
        self._environ = {"PATH": unpacked.path, "DOCKER_HOST": host, "HOME": str(folder), "DOCKER_CONFIG": str(folder)}

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            [self._binary, *arguments], env=self._environ, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def names(self, gun: str) -> set[str]:
        """Tags and digests of a collection that the engine has."""
        rows = [json.loads(line) for line in self("images", "--digests", "--format", "{{json .}}").splitlines()]
        mine = [row for row in rows if row["Repository"] == gun]
        return {row[part] for row in mine for part in ("Tag", "Digest") if row[part] != "<none>"}


@pytest.fixture(scope="module")
def docker(unpacked_docker: UnpackedDocker, engine: str, tmp_path_factory: pytest.TempPathFactory) -> Docker:
    """The engine, without content trust."""
    return Docker(unpacked_docker, engine, tmp_path_factory.mktemp("docker"))


@pytest.fixture
def owner(owner: TrustUser, docker: Docker) -> TrustUser:
    owner.environ["DOCKER_HOST"] = docker.host
    return owner


def begin(owner: TrustUser, gun: str) -> None:
    owner.run("init", gun, "--recovery-key", "recovery.key")


def test_push_sign_locally_and_pull(owner: TrustUser, docker: Docker, gun: str, put: Put) -> None:
    """What docker itself pushed is signed under the digest of the push, and comes back under it."""
    base = f"{gun}-base:1.0"  # in this collection, the engine would list the digest of the pull beside the push's
    put("1.0", repository=f"{gun}-base")
    docker("pull", "--quiet", base)
    docker("tag", base, f"{gun}:mine")
    begin(owner, gun)
    docker("push", "--quiet", f"{gun}:mine")
    pushed = json.loads(docker("image", "inspect", "--format", "{{json .RepoDigests}}", f"{gun}:mine"))
    (digest,) = [name.partition("@")[2] for name in pushed if name.startswith(f"{gun}@")]
    signed = owner.run("sign", "--local", f"{gun}:mine")
    assert signed.stdout == f"{gun}:mine@{digest}\n"
    docker("rmi", "--force", f"{gun}:mine", base)
    assert docker.names(gun) == set()
    pulled = owner.run("pull", f"{gun}:mine")
    assert pulled.stdout == f"Pull (1 of 1): {gun}:mine@{digest}\n"
    assert docker.names(gun) == {"mine", digest}


def test_of_two_digests_in_one_repository_the_one_under_the_tag_is_signed(
    owner: TrustUser, docker: Docker, gun: str, put: Put
) -> None:
    """The engine lists the digest of the pull and that of the push, in no fixed order."""
    pulled = put("base").digest
    docker("pull", "--quiet", f"{gun}:base")
    docker("tag", f"{gun}:base", f"{gun}:mine")
    begin(owner, gun)
    pushed = re.search(r"sha256:[0-9a-f]{64}", docker("push", f"{gun}:mine"))
    assert pushed is not None
    assert {pulled, pushed[0]} == docker.names(gun) - {"base", "mine"}
    assert owner.run("sign", "--local", f"{gun}:mine").stdout == f"{gun}:mine@{pushed[0]}\n"
    assert owner.run("sign", "--local", f"{gun}:base").stdout == f"{gun}:base@{pulled}\n"
    other = put("mine", text="another image").digest
    refused = owner.run("sign", "--local", f"{gun}:mine", expect=7)
    for digest in (other, pulled, pushed[0]):
        refused.said(digest)


def test_what_was_never_pushed_cannot_be_signed_locally(owner: TrustUser, docker: Docker, gun: str, put: Put) -> None:
    put("base")
    docker("pull", "--quiet", f"{gun}:base")
    docker("tag", f"{gun}:base", f"{gun}-elsewhere:1.0")
    begin(owner, f"{gun}-elsewhere")
    owner.run("sign", "--local", f"{gun}-elsewhere:1.0", expect=3).said("push it first: docker push")
    owner.run("sign", "--local", f"{gun}-elsewhere:2.0", expect=3).said(f"{gun}-elsewhere:2.0 does not exist")
    owner.run("verify", f"{gun}-elsewhere:1.0", expect=3)


def test_a_moved_tag_still_gives_the_signed_digest(owner: TrustUser, docker: Docker, gun: str, put: Put) -> None:
    signed = put("1.0")
    begin(owner, gun)
    owner.run("sign", f"{gun}:1.0")
    moved = put("1.0", text="moved")
    document = owner.run("--json", "pull", f"{gun}:1.0").document()
    assert document == {"images": [{"image": f"{gun}:1.0", "digest": signed.digest}], "exit": 0}
    assert docker.names(gun) == {"1.0", signed.digest}
    assert moved.digest not in docker("image", "inspect", f"{gun}:1.0")
    owner.run("pull", f"{gun}:1.0@{moved.digest}", expect=4).said("is signed as", moved.digest)
    assert docker.names(gun) == {"1.0", signed.digest}


def test_an_index_is_pulled_by_its_own_digest(owner: TrustUser, docker: Docker, gun: str, put: Put) -> None:
    index = put("multi", index=True)
    begin(owner, gun)
    owner.run("sign", f"{gun}:multi")
    assert owner.run("pull", f"{gun}:multi").stdout == f"Pull (1 of 1): {gun}:multi@{index.digest}\n"
    assert docker.names(gun) == {"multi", index.digest}


def test_nothing_is_pulled_that_is_not_signed(owner: TrustUser, docker: Docker, gun: str, put: Put) -> None:
    put("1.0")
    begin(owner, gun)
    owner.run("pull", f"{gun}:1.0", expect=3).said(f"{gun}:1.0 is not signed")
    owner.run("pull", f"{gun}-unknown:1.0", expect=3).said(f"{gun}-unknown has no trust data")
    assert docker.names(gun) == set()


def test_nothing_is_pulled_that_cannot_be_judged(
    owner: TrustUser, docker: Docker, gun: str, put: Put, tmp_path: Path
) -> None:
    """The trust server is down: refused, although the registry would give the image."""
    put("1.0")
    server = ServerProcess(tmp_path / "down" / "data")
    server.data.parent.mkdir()
    server.start()
    owner.environ["TRUST_SERVER"] = server.url
    begin(owner, gun)
    owner.run("sign", f"{gun}:1.0")
    assert server.stop() == 0
    refused = owner.run("pull", f"{gun}:1.0", expect=6).said(f"{server.url} cannot be reached")
    assert refused.stdout == ""
    assert docker.names(gun) == set()


def test_no_engine(owner: TrustUser, gun: str, put: Put, tmp_path: Path) -> None:
    put("1.0")
    begin(owner, gun)
    owner.run("sign", f"{gun}:1.0")
    place = f"unix://{tmp_path}/docker.sock"
    failed = owner.run("pull", f"{gun}:1.0", expect=6, DOCKER_HOST=place)
    failed.said(
        f"the container engine at {place} cannot be reached: no such socket; is the engine installed and running?"
    )
    assert failed.stdout == ""
    tcp = f"tcp://127.0.0.1:{free_port()}"
    owner.run("pull", f"{gun}:1.0", expect=6, DOCKER_HOST=tcp).said(f"the container engine at {tcp}", "refused")
    document = owner.run("--json", "pull", f"{gun}:1.0", f"{gun}:2.0", expect=3, DOCKER_HOST=place).document()
    assert [row["error"]["code"] for row in document["images"]] == ["engine-unreachable", "not-signed"]


def test_the_registry_gives_other_bytes_under_the_signed_digest(
    owner: TrustUser, docker: Docker, gun: str, put: Put, shared_registry: RunningProgram
) -> None:
    """The engine checks what it pulls against the digest that we ask for; we say that nothing came."""
    image = put("1.0", text="to be altered")
    begin(owner, gun)
    owner.run("sign", f"{gun}:1.0")
    storage = shared_registry.log.parent / "storage"
    blob = next(storage.rglob(f"{image.digest.removeprefix('sha256:')}/data"))
    blob.write_bytes(blob.read_bytes() + b" ")
    good = put("2.0")
    owner.run("sign", f"{gun}:2.0")
    failed = owner.run("pull", f"{gun}:1.0", f"{gun}:2.0", expect=6)
    failed.said(f"the pull of {gun}@{image.digest} failed")
    assert failed.stdout == f"Pull (2 of 2): {gun}:2.0@{good.digest}\n", "one bad image does not keep the others"
    assert docker.names(gun) == {"2.0", good.digest}
