"""A node without Python: what `make node` builds, and its verifier and agent under containerd's contract."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from PyInstaller.archive import readers

from tests.support.bindir_runner import Containerd
from tests.support.building import VERSION, run
from tests.support.images import BuiltImage
from tests.support.locks import RUNS
from tests.support.node_build import build_node, unpacked_node
from tests.support.programs import READY_SECONDS
from tests.support.pulling_node import PATIENT, Node, release
from tests.support.stage import OTHER_DIGEST, Put
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.long

NO_PYTHON = {"PATH": "/nonexistent", "TMPDIR": "/nonexistent"}


class BuiltNode(Node):
    """A node on which the programs of the build are called and no other."""

    def __init__(self, folder: Path, programs: Path, gun: str, server: str) -> None:
        self.programs = programs
        self.agent_socket = folder / "run" / "s"
        super().__init__(folder, {gun.partition("/")[0]: server}, verifier=PATIENT)
        self.config.write_text(f'agent = "{self.agent_socket}"\n{self.config.read_text()}')
        self.containerd.environ = NO_PYTHON

    def install(self) -> None:
        bin_dir = ("--bin-dir", str(self.containerd.bin_dir))
        self.called("hook", "containerd", *bin_dir, "--config", str(self.config), "--state", str(self.state))

    def called(self, *arguments: str) -> str:
        """What the built `trust` prints."""
        environ = {**NO_PYTHON, "TRUST_HOME": str(self.etc)}
        command = [str(self.programs / "trust"), *arguments]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def agent(self) -> Iterator[subprocess.Popen[str]]:
        """The built `trust agent`, listening."""
        options = ("--config", str(self.config), "--state", str(self.state / "agent"))
        command = [str(self.programs / "trust"), "agent", *options, "--socket", str(self.agent_socket)]
        environ = {**NO_PYTHON, "HOME": str(self.etc.parent)}
        with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr is not None
                assert process.stderr.readline() == f"listening at {self.agent_socket}\n"
                yield process
            finally:
                process.kill()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make node` leaves."""
    return build_node(tmp_path_factory.mktemp("node"))


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory, archive: Path) -> Path:
    """The folder of programs, as it lies on a node."""
    return unpacked_node(archive, tmp_path_factory.mktemp("unpacked"))


@pytest.fixture
def image(owner: TrustUser, gun: str, put: Put) -> BuiltImage:
    """What tag 1.0 is signed as."""
    return release(owner, gun, put)


@pytest.fixture
def node(tmp_path: Path, programs: Path, gun: str, owner: TrustUser, image: BuiltImage) -> BuiltNode:
    """Knows the collection."""
    found = BuiltNode(tmp_path / "node", programs, gun, owner.environ["TRUST_SERVER"])
    found.called("pin", gun, owner.pin_of(gun))
    return found


def test_the_verifier_judges_by_itself(node: BuiltNode, gun: str, image: BuiltImage, put: Put) -> None:
    assert str(node.programs / "trust-image-verifier") in (node.containerd.bin_dir / "trust-image-verifier").read_text()
    assert f"{gun}:1.0 is signed as {image.digest}" in node.allows(f"{gun}:1.0", image.digest)
    node.allows(f"{gun}@{image.digest}", image.digest)
    node.refuses(f"{gun}:1.0", OTHER_DIGEST, "is signed as", status=4)
    unsigned = put("unsigned", text="somebody pushed this")
    node.refuses(f"{gun}:unsigned", unsigned.digest, f"{gun}:unsigned is not signed", status=3)
    judged = node.pull(f"{gun}:1.0", image.digest, b"{}")
    assert (judged.ok, "the request cannot be judged" in judged.reason) == (False, True)
    assert (node.state / "seen.json").exists()


def test_a_linked_verifier_is_one_and_a_link_to_something_else_refuses(
    node: BuiltNode, gun: str, image: BuiltImage, tmp_path: Path
) -> None:
    """The daemon may be given the program itself; then its environment says where the settings are."""
    linked = Containerd(bin_dir=tmp_path / "bin", cwd=tmp_path, environ={**NO_PYTHON, "TRUST_HOME": str(node.etc)})
    linked.bin_dir.mkdir()
    entry = linked.bin_dir / "trust-image-verifier"
    entry.symlink_to(node.programs / "trust-image-verifier")
    assert linked.verify(f"{gun}:1.0", image.digest).ok
    assert not linked.verify(f"{gun}:unsigned", image.digest).ok
    entry.unlink()
    entry.symlink_to(node.programs / "trust")
    assert not linked.verify(f"{gun}:1.0", image.digest).ok


def test_the_agent_answers_the_verifier(node: BuiltNode, gun: str, image: BuiltImage) -> None:
    with node.agent() as agent:
        assert f"{gun}:1.0 is signed as {image.digest}" in node.allows(f"{gun}:1.0", image.digest)
        assert not (node.state / "cache").exists(), "the verifier has verified nothing by itself"
        assert (node.state / "seen.json").exists(), "what the agent remembers is remembered here, too"
        node.refuses(f"{gun}:unsigned", OTHER_DIGEST, "is not signed", status=3)
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(READY_SECONDS) == 0
    node.allows(f"{gun}:1.0", image.digest)


def test_what_it_starts_runs_with_its_own_libraries(programs: Path, tmp_path: Path) -> None:
    """`trust doctor containerd` starts the verifier that it finds: here a script that tells its environment."""
    script = tmp_path / "theirs" / "trust-image-verifier"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\nexport -p >{tmp_path}/environment\n")
    script.chmod(0o755)
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    (bin_dir / script.name).symlink_to(script)
    config = tmp_path / "config.toml"
    config.write_text(f'version = 3\n[plugins."io.containerd.image-verifier.v1.bindir"]\nbin_dir = "{bin_dir}"\n')
    environ = {**NO_PYTHON, "HOME": str(tmp_path), "LD_LIBRARY_PATH": "/of the caller"}
    run(programs / "trust", "doctor", "containerd", "--config", config, environ=environ, status=1)
    told = (tmp_path / "environment").read_text()
    assert "LD_LIBRARY_PATH='/of the caller'\n" in told
    assert "_PYI_" not in told
    assert str(programs) not in told


def test_nothing_is_inside_but_what_the_lock_names(programs: Path) -> None:
    modules = readers.CArchiveReader(str(programs / "trust")).open_embedded_archive("PYZ.pyz").toc
    found = {str(name).partition(".")[0] for name in modules}
    found |= {path.name.partition(".")[0] for path in (programs / "_internal").iterdir() if path.suffix != ".dist-info"}
    distributions = packages_distributions()
    named = {canonicalize_name(one) for name in found for one in distributions.get(name, [])}
    assert named - {"content-trust"} <= set(RUNS)
    assert {"trustcli", "trustdata", "keys"} <= found
    assert "trustserver" not in found


def test_it_is_what_its_file_is_called_and_nobody_may_change_it(programs: Path, tmp_path: Path) -> None:
    """Without Python, home or a folder for temporary files, and whatever the environment tells a Python."""
    for path in (programs.parent, *programs.rglob("*")):
        assert path.is_symlink() or not path.stat().st_mode & 0o6022, path
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('a file of others was run')\n")
    (tmp_path / "json.py").write_text("raise SystemExit('a file of others was run')\n")
    environ = {"PATH": "", "TMPDIR": "/nonexistent", "PYTHONPATH": str(tmp_path), "PYTHONHOME": "/nonexistent"}

    def said(*words: str | Path, status: int = 0) -> str:
        done = run(*words, environ=environ, cwd=tmp_path, status=status)
        return done.stdout + done.stderr

    assert said(programs / "trust", "--version") == f"trust {VERSION}\n"
    assert said(programs / "content-trust", "--version") == f"trust {VERSION}\n"
    assert said(programs / "trust-image-verifier", "--version") == f"trust-image-verifier {VERSION}\n"
    assert '"SchemaVersion": "0.1.0"' in said(programs / "docker-trust", "docker-cli-plugin-metadata")
    assert "which this build for machines without Python does not have" in said(programs / "trust", "demo", status=2)
    in_service = said(programs / "trust", "key", "test", "awskms:///alias/root", status=8)
    assert "next: this build for machines without Python has no such library" in in_service
    # The name by which it is called decides nothing: a link is what it leads to.
    (tmp_path / "trust-image-verifier").symlink_to(programs / "trust")
    assert said(tmp_path / "trust-image-verifier", "--version") == f"trust {VERSION}\n"
    assert "no option '-name'" in said(tmp_path / "trust-image-verifier", "-name", "a", status=2)
    called = subprocess.run(["trust"], executable=programs / "trust-image-verifier", capture_output=True, check=False)
    assert b"the request cannot be judged" in called.stdout


def test_docker_s_plugin_is_the_program_beside_it(programs: Path, tmp_path: Path) -> None:
    environ = {"PATH": "/nonexistent", "HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path / "docker")}
    run(programs / "trust", "plugin", "install", environ=environ)
    script = tmp_path / "docker" / "cli-plugins" / "docker-trust"
    assert f"exec {programs / 'docker-trust'}" in script.read_text()
    assert '"SchemaVersion": "0.1.0"' in run(script, "docker-cli-plugin-metadata", environ=environ).stdout
    assert sys.executable not in script.read_text()
