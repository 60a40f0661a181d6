"""Docker's own CLI with content trust switched on, as a child process: Debian's 20.10, and a newer one on PATH."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.docker_engine import UnpackedDocker, start_engine, unpack_docker
from tests.support.notary_client import REPOSITORY_PASSPHRASE, ROOT_PASSPHRASE, NotaryUser
from tests.support.trust_servers import PeerServer

COMMAND_SECONDS = 120
DEBIAN = "docker-20.10"
NEWER = "newer-docker"
_LAST_WITH_TRUST = 28
"""From 29 on `docker trust` is a plugin, and DOCKER_CONTENT_TRUST is ignored."""


@dataclass(frozen=True, kw_only=True)
class DockerCli:
    """One version of the program. Where versions differ, a fact here says so."""

    binary: Path
    path: str
    version: tuple[int, ...]

    @property
    def removes_whom_it_says(self) -> bool:
        """`signer remove` of a newer version, unless it had to ask, says that it removes and does nothing."""
        return self.version < (21,)


class DockerUser:
    """One person with a DOCKER_CONFIG of her own. `notary` is the same person at the other program."""

    def __init__(self, folder: Path, cli: DockerCli, server: PeerServer, *, host: str = "") -> None:
        self.folder = folder
        self.config = folder / "docker"
        authority = self.config / "tls" / server.netloc / "ca.crt"
        authority.parent.mkdir(parents=True, exist_ok=True)
        authority.write_bytes(server.ca.read_bytes())
        self.cli = cli
        self.server = server
        self.environ = {
            "PATH": cli.path,
            "HOME": str(folder),
            "DOCKER_CONFIG": str(self.config),
            "DOCKER_HOST": host or f"unix://{folder}/no-engine.sock",
            "DOCKER_CONTENT_TRUST": "1",
            "DOCKER_CONTENT_TRUST_SERVER": server.url,
            "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE": ROOT_PASSPHRASE,
            "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE": REPOSITORY_PASSPHRASE,
        }

    @property
    def trust(self) -> Path:
        """Where keys and cached metadata lie."""
        return self.config / "trust"

    @property
    def notary(self) -> NotaryUser:
        """`notary` on docker's own trust folder."""
        return NotaryUser(self.folder, self.server, trust=self.trust)

    def run(self, *arguments: str, stdin: str = "") -> str:
        """What a command that succeeds prints, on both streams."""
        done = self.start(arguments, stdin)
        assert done.returncode == 0, f"docker {' '.join(arguments)} -> {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def refused(self, *arguments: str, stdin: str = "") -> str:
        """What a command that fails prints, on both streams, in lower case: newer versions begin sentences so."""
        done = self.start(arguments, stdin)
        assert done.returncode == 1, f"docker {' '.join(arguments)} -> {done.returncode}\n{done.stdout}{done.stderr}"
        return (done.stdout + done.stderr).lower()

    def inspect(self, *images: str) -> list[dict[str, Any]]:
        """`docker trust inspect`."""
        done = self.start(("trust", "inspect", *images))
        assert done.returncode == 0, done.stderr
        document: list[dict[str, Any]] = json.loads(done.stdout)
        return document

    def signers_of_tags(self, gun: str) -> dict[str, tuple[str, set[str]]]:
        """Digest and signers of each released tag."""
        (image,) = self.inspect(gun)
        return {row["SignedTag"]: (row["Digest"], set(row["Signers"])) for row in image["SignedTags"]}

    def signers(self, gun: str) -> list[str]:
        """Names, in the order in which docker gives them."""
        (image,) = self.inspect(gun)
        return [row["Name"] for row in image["Signers"]]

    def new_signer_key(self, name: str) -> Path:
        """Make a key here; the file with its public part."""
        self.run("trust", "key", "generate", name)
        return self.folder / f"{name}.pub"

    def start(self, arguments: tuple[str, ...], stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever that is."""
        return subprocess.run(
            [str(self.cli.binary), *arguments],
            cwd=self.folder,
            env=self.environ,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )


DockerPeople = Callable[..., DockerUser]


@pytest.fixture(scope="session")
def unpacked_docker(tmp_path_factory: pytest.TempPathFactory) -> UnpackedDocker:
    """Debian's docker.io and its engine, unpacked once for all workers."""
    run = tmp_path_factory.getbasetemp()
    folder = (run.parent if "PYTEST_XDIST_WORKER" in os.environ else run) / "docker.io"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        unpacked = unpack_docker(folder)
    if isinstance(unpacked, str):
        pytest.skip(unpacked)
    return unpacked


@pytest.fixture(scope="session")
def engine(unpacked_docker: UnpackedDocker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """DOCKER_HOST of a real engine, for every test that needs one."""
    if os.geteuid() != 0:
        pytest.skip("docker.io: its engine needs root")
    with start_engine(unpacked_docker, tmp_path_factory.mktemp("engine")) as host:
        yield host


@pytest.fixture(scope="session", params=[DEBIAN, NEWER])
def docker_cli(request: pytest.FixtureRequest) -> DockerCli:
    """Each of the two in turn; the second where PATH has one that still signs."""
    if request.param == DEBIAN:
        return debians_cli(request.getfixturevalue("unpacked_docker"))
    found = shutil.which("docker")
    version = _version(found) if found else ()
    if not found or version < (21,):
        pytest.skip("no docker CLI newer than 20.10 on PATH")
    if version[0] > _LAST_WITH_TRUST:
        pytest.skip(
            f"docker CLI {version[0]} has no `docker trust` of its own; one of 21 to {_LAST_WITH_TRUST} is missing"
        )
    return DockerCli(binary=Path(found), path=os.environ["PATH"], version=version)


@pytest.fixture
def docker_people(tmp_path: Path, docker_cli: DockerCli, peer_server: PeerServer) -> DockerPeople:
    """Persons by name; `host` is the engine of those who need one."""
    return lambda name, host="": DockerUser(tmp_path / name, docker_cli, peer_server, host=host)


def debians_cli(unpacked: UnpackedDocker) -> DockerCli:
    """20.10."""
    return DockerCli(binary=unpacked.docker, path=unpacked.path, version=_version(str(unpacked.docker)))


def _version(binary: str) -> tuple[int, ...]:
    printed = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (\d+)\.(\d+)\.(\d+)", printed)
    return tuple(int(part) for part in found.groups()) if found else ()
