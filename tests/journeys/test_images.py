"""The images of `make images`: what is in them, and that they run without root, in a file system that is only read."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.support.building import SOURCE, VERSION, copy_of_the_source, fetched_wheels, make_packages, run, tool
from tests.support.images import BuiltImage
from tests.support.programs import READY_SECONDS, free_port, program
from tests.support.pulling_node import release
from tests.support.stage import OTHER_DIGEST, Put
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.long

UID: Final = 970
PYTHON: Final = "/opt/content-trust/bin/python"
_MOUNTS: Final = """
set -eu
root=$1 uid=$2; shift 2
mount --bind "$root" "$root"
mount --options remount,bind,ro "$root"
mount --bind /dev "$root/dev"
for folder in tmp var/lib/content-trust var/lib/trust-server; do
  ! [ -d "$root/$folder" ] || mount -t tmpfs -o "uid=$uid,gid=$uid,mode=0700" none "$root/$folder"
done
exec chroot --userspec="$uid:$uid" "$root" "$@"
"""
"""As the manifests start them: nothing can be written to but the home and /tmp."""


class Image:
    """One image, unpacked. `config`: what an engine goes by."""

    def __init__(self, layout: Path, name: str, folder: Path) -> None:
        run(program("umoci"), "unpack", "--image", f"{layout}:{name}", folder)
        self.root = folder / "rootfs"
        index = json.loads((layout / "index.json").read_text())
        (entry,) = [
            one for one in index["manifests"] if one["annotations"]["org.opencontainers.image.ref.name"] == name
        ]
        self.manifest: Any = _blob(layout, entry)
        self.config: Any = _blob(layout, self.manifest["config"])

    def command(self, *words: str) -> list[str]:
        """The command that starts it with these words, as its user."""
        uid, gid = self.config["config"]["User"].split(":")
        assert (uid, gid) == (str(UID), str(UID)), "a number: Kubernetes cannot tell whether a name is root"
        return [program("unshare"), "--mount", "sh", "-c", _MOUNTS, "sh", str(self.root), uid, *words]

    def environ(self, **more: str) -> dict[str, str]:
        return dict(row.split("=", 1) for row in self.config["config"]["Env"]) | more

    def run(self, *words: str, status: int = 0, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run what it is for, with these words."""
        path = {"PATH": os.environ["PATH"]}
        return run(*self.command(*self.entry, *words), environ=self.environ(**environ) | path, status=status)

    @property
    def entry(self) -> Sequence[str]:
        """The program, and what always stands behind it."""
        found: Sequence[str] = self.config["config"]["Entrypoint"]
        return found


def _blob(layout: Path, descriptor: dict[str, Any]) -> Any:
    raw = (layout / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes()
    assert descriptor["digest"] == f"sha256:{hashlib.sha256(raw).hexdigest()}"
    return json.loads(raw)


def _build(folder: Path) -> Path:
    """The archive that `make images` makes, out of the packages of Debian that are here."""
    tool("hatchling")
    fetched_wheels()
    program("umoci")
    if not (Path(sys.prefix) / "debian.tar").exists():
        pytest.skip(f"there is no debian.tar in {sys.prefix} (make debian fetches it)")
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    dist = make_packages(copy_of_the_source(folder / "source"), environ)
    run("sh", SOURCE / "release" / "images.sh", f"{sys.prefix}/bin", dist, environ=environ)
    return dist / f"content-trust-{VERSION}-images-linux-{os.uname().machine}.tar"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, archive: Path) -> dict[str, Image]:
    """Both images by name, in folders that every user may look into."""
    if os.geteuid() != 0:
        pytest.skip("unshare, chroot: need root")
    folder = tmp_path_factory.mktemp("unpacked")
    for above in (folder, *folder.parents):
        if above.stat().st_mode & 0o5 != 0o5:
            above.chmod(above.stat().st_mode | 0o5)
    layout = folder / "layout"
    layout.mkdir()
    run("tar", "--extract", "--file", archive, "--directory", layout)
    return {name: Image(layout, name, folder / name) for name in ("trust", "trust-server")}


@pytest.fixture
def image(owner: TrustUser, gun: str, put: Put) -> BuiltImage:
    """What tag 1.0 is signed as."""
    return release(owner, gun, put)


def test_two_builds_are_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    assert _build(tmp_path).read_bytes() == archive.read_bytes()


def test_both_share_their_layers(images: dict[str, Image]) -> None:
    one, other = ([layer["digest"] for layer in image.manifest["layers"]] for image in images.values())
    assert one[:-1] == other[:-1]
    assert one[-1] != other[-1]


@pytest.mark.parametrize("name", ["trust", "trust-server"])
def test_no_program_but_python_and_ours_and_nothing_that_others_may_change(images: dict[str, Image], name: str) -> None:
    root = images[name].root
    programs = {path.name for folder in ("bin", "sbin", "usr/bin", "usr/sbin") for path in (root / folder).iterdir()}
    assert programs == {"python3.11"}
    ours = {"content-trust", "docker-trust", "python", "python3.11", "trust", "trust-image-verifier", "trust-server"}
    assert {path.name for path in (root / "opt/content-trust/bin").iterdir()} == ours
    home = root / images[name].config["config"]["WorkingDir"].lstrip("/")
    assert (home.stat().st_uid, home.stat().st_mode & 0o777) == (UID, 0o700)
    for path in (path for path in root.rglob("*") if not path.is_symlink() and path != home):
        status = path.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o6000) == (0, 0, 0), path
        assert path in {root / "tmp", root / "var/tmp"} or not status.st_mode & 0o22, path
    assert (root / "var/lib/dpkg/status.d/libc6").exists(), "what scanners read"


def test_what_compose_and_kubernetes_call_is_there(images: dict[str, Image]) -> None:
    """The same paths as in the image of docs/deploy/Dockerfile."""
    compose = yaml.safe_load((SOURCE / "docs/deploy/compose.yaml").read_text())["services"]["trust-server"]
    deployment = yaml.safe_load((SOURCE / "docs/deploy/kubernetes/deployment.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    stop = container["lifecycle"]["preStop"]["exec"]["command"]
    assert container["command"][0] == images["trust"].entry[0]
    for word in (compose["healthcheck"]["test"][1], container["command"][0], stop[0]):
        assert os.access(images["trust"].root / word.lstrip("/"), os.X_OK), word
    assert run(*images["trust"].command(*stop[:-1], stop[-1].replace("10", "0"))).stderr == ""


def test_the_cli_verifies(images: dict[str, Image], owner: TrustUser, gun: str, image: BuiltImage) -> None:
    cli = images["trust"]
    server = owner.environ["TRUST_SERVER"]
    assert cli.run("--version").stdout == f"trust {VERSION}\n"
    pinned = ("verify", "--pin", owner.pin_of(gun))
    assert cli.run(*pinned, f"{gun}:1.0", TRUST_SERVER=server).stdout == f"{gun}@{image.digest}\n"
    assert "is not signed" in cli.run(*pinned, f"{gun}:unsigned", status=3, TRUST_SERVER=server).stderr
    cli.run(*pinned, f"{gun}:1.0@{OTHER_DIGEST}", status=4, TRUST_SERVER=server)


def test_it_knows_the_system_s_ca_certificates(images: dict[str, Image]) -> None:
    code = "import ssl; print(len(ssl.create_default_context().get_ca_certs()))"
    assert int(run(*images["trust"].command(PYTHON, "-I", "-c", code)).stdout) > 100


def test_the_server_serves_and_stops_in_order(images: dict[str, Image]) -> None:
    server, port = images["trust-server"], free_port()
    (server.root / "etc" / "trust-server.toml").write_text(
        f'listen = "127.0.0.1:{port}"\ndata = "/var/lib/trust-server/data"\n'
    )
    command = server.command(*server.entry, *server.config["config"]["Cmd"])
    environ = server.environ() | {"PATH": os.environ["PATH"]}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(f"trust-server at http://127.0.0.1:{port}")
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_SECONDS)
            connection.request("GET", "/readyz")
            assert connection.getresponse().status == 200
            connection.close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(READY_SECONDS) == 0
        finally:
            process.kill()
