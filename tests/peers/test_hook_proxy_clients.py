"""The proxy with the programs that pull: skopeo, podman, Docker's engine; containerd restated.

Each client configuration that `trust hook proxy config` prints is tried with an unsigned tag, which the registry would
hand out: nobody gets it. Beside it stands the form that people use for mirrors, which does hand it out.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.containerd_hosts import resolve
from tests.support.docker_engine import UnpackedDocker
from tests.support.images import BuiltImage, build_artifact
from tests.support.programs import RunningProgram
from tests.support.proxy_program import ProxyProgram, proxy_running
from tests.support.pulling_programs import Containers, Docker
from tests.support.stage import People, Put
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def image(owner: TrustUser, gun: str, put: Put) -> BuiltImage:
    """An index for this machine, signed as 1.0; the tag `unsigned` lies beside it in the registry."""
    made = put("1.0", text="signed", index=True)
    put("unsigned", text="unsigned")
    owner.run("init", gun, "--no-recovery-key")
    owner.run("sign", f"{gun}:1.0")
    return made


@pytest.fixture
def operator(gun: str, image: BuiltImage, owner: TrustUser, people: People) -> TrustUser:
    found = people("operator")
    found.knows(gun, owner.pin_of(gun))
    return found


@pytest.fixture
def proxy(tmp_path: Path, operator: TrustUser, shared_registry: RunningProgram) -> Iterator[ProxyProgram]:
    home, server = operator.home, operator.environ["TRUST_SERVER"]
    with proxy_running(tmp_path / "proxy", shared_registry.netloc, home=home, server=server) as running:
        yield running


def configuration(operator: TrustUser, client: str, proxy: ProxyProgram, gun: str) -> str:
    """What `trust hook proxy config` prints."""
    address, registry = f"http://{proxy.netloc}", gun.partition("/")[0]
    return operator.run("hook", "proxy", "config", client, "--address", address, "--registry", registry).stdout


def refused(done: subprocess.CompletedProcess[str], gun: str, tag: str) -> None:
    assert done.returncode != 0, done.stdout
    assert f"{gun}:{tag} is not signed" in done.stderr, done.stderr


def by_its_own_name(proxy: ProxyProgram, gun: str) -> str:
    return f"{proxy.netloc}/{gun.partition('/')[2]}"


# --- skopeo and podman, which read registries.conf


@pytest.fixture
def containers(tmp_path: Path, operator: TrustUser, proxy: ProxyProgram, gun: str) -> Containers:
    assert configuration(operator, "crio", proxy, gun) == configuration(operator, "podman", proxy, gun)
    return Containers(tmp_path / "containers", configuration(operator, "podman", proxy, gun))


def test_skopeo(containers: Containers, proxy: ProxyProgram, gun: str, image: BuiltImage, put: Put) -> None:
    for options in ((), ("--all",)):
        done = containers.copied(f"{gun}:1.0", *options)
        assert done.returncode == 0, done.stderr
        assert containers.copied(f"{gun}@{image.digest}", *options).returncode == 0
    refused(containers.copied(f"{gun}:unsigned"), gun, "unsigned")
    moved = put("1.0", text="moved")
    done = containers.copied(f"{gun}@{moved.digest}")
    assert done.returncode != 0
    assert "is not signed" in done.stderr
    done = containers.copied(f"{gun}:1.0", "--all")
    assert done.returncode == 0, "the signed one, wherever the tag points in the registry"
    listed = containers.skopeo("list-tags", "--tls-verify=false", f"docker://{by_its_own_name(proxy, gun)}")
    assert '"1.0"' in listed.stdout
    assert "unsigned" not in listed.stdout


def test_skopeo_pushes_nothing(containers: Containers, proxy: ProxyProgram, gun: str, image: BuiltImage) -> None:
    """registries.conf is about pulls: what is pushed goes to the registry that the name has."""
    target = f"docker://{by_its_own_name(proxy, gun)}:new"
    done = containers.skopeo("copy", "--dest-tls-verify=false", image.source, target)
    assert done.returncode != 0
    assert "nothing is pushed through this proxy" in done.stderr


def test_podman(containers: Containers, gun: str, image: BuiltImage) -> None:
    done = containers.podman_pull(f"{gun}:1.0")
    assert done.returncode == 0, done.stderr
    assert image.digest in containers.podman("images", "--digests", "--format", "{{.Digest}}")
    refused(containers.podman_pull(f"{gun}:unsigned"), gun, "unsigned")


def test_a_mirror_in_registries_conf_would_be_open(tmp_path: Path, proxy: ProxyProgram, gun: str) -> None:
    registry = gun.partition("/")[0]
    conf = f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n'
    conf += f'[[registry.mirror]]\nlocation = "{proxy.netloc}"\ninsecure = true\n'
    assert Containers(tmp_path / "open", conf).copied(f"{gun}:unsigned").returncode == 0


# --- containerd


def test_containerd(operator: TrustUser, proxy: ProxyProgram, gun: str, image: BuiltImage, put: Put) -> None:
    registry, _, repository = gun.partition("/")
    hosts = configuration(operator, "containerd", proxy, gun)

    def pulled(reference: str, form: str = hosts) -> tuple[str, str]:
        found = resolve(form, registry=registry, repository=repository, reference=reference)
        return found.digest, found.reason

    unsigned = put("unsigned", text="unsigned again")
    assert pulled("1.0") == pulled(image.digest) == (image.digest, "")
    for reference in ("unsigned", unsigned.digest):
        digest, reason = pulled(reference)
        assert digest == ""
        assert reason.startswith("403: ")
        assert "is not signed" in reason
    open_form = f'server = "http://{registry}"\n[host."http://{proxy.netloc}"]\n'
    assert pulled("unsigned", open_form) == (unsigned.digest, "")


# --- Docker's engine


@pytest.fixture
def pushable(tmp_path: Path, operator: TrustUser, shared_registry: RunningProgram) -> Iterator[ProxyProgram]:
    """A proxy that passes pushes through."""
    home, server = operator.home, operator.environ["TRUST_SERVER"]
    options = ("--allow-push",)
    with proxy_running(tmp_path / "pushable", shared_registry.netloc, *options, home=home, server=server) as running:
        yield running


@pytest.fixture
def docker(unpacked_docker: UnpackedDocker, engine: str, tmp_path: Path) -> Docker:
    return Docker(unpacked_docker, engine, tmp_path / "docker")


def test_docker(operator: TrustUser, docker: Docker, proxy: ProxyProgram, gun: str, image: BuiltImage) -> None:
    """The engine is started with this range as insecure: its configuration here would name the proxy."""
    assert f'"{proxy.netloc}"' in configuration(operator, "docker", proxy, gun)
    name = by_its_own_name(proxy, gun)
    done = docker("pull", f"{name}:1.0")
    assert done.returncode == 0, done.stderr
    assert image.digest in docker("images", "--digests", name).stdout
    refused(docker("pull", f"{name}:unsigned"), gun, "unsigned")
    done = docker("pull", "--all-tags", name)
    assert done.returncode == 0, done.stderr
    assert "unsigned" not in docker("images", name).stdout
    docker("tag", f"{name}:1.0", f"{name}:new")
    done = docker("push", f"{name}:new")
    assert done.returncode != 0
    assert "nothing is pushed through this proxy" in done.stderr


@pytest.mark.parametrize("runnable", [True, False])
def test_docker_runs_nothing_that_was_attached(
    tmp_path: Path,
    operator: TrustUser,
    docker: Docker,
    gun: str,
    image: BuiltImage,
    *,
    runnable: bool,
) -> None:
    """Whoever may push may attach: also what is an image to Go's programs, which take `MediaType` for `mediaType`."""
    attached = build_artifact(tmp_path / "attached", image, runnable=runnable)
    registry, _, repository = gun.partition("/")
    pushed = Containers(tmp_path / "pushing", "").skopeo(
        "copy", "--preserve-digests", "--dest-tls-verify=false", attached.source, f"docker://{gun}:attached"
    )
    assert pushed.returncode == 0, pushed.stderr
    direct = docker("pull", f"{gun}@{attached.digest}")
    assert (direct.returncode == 0) is runnable, direct.stderr
    home, server = operator.home, operator.environ["TRUST_SERVER"]
    with proxy_running(tmp_path / "referring", registry, "--referrers", home=home, server=server) as referring:
        got = referring.get(f"/v2/{repository}/manifests/{attached.digest}")
        assert got.status == (403 if runnable else 200)
        assert docker("pull", f"{by_its_own_name(referring, gun)}@{attached.digest}").returncode != 0


def test_what_docker_pushes_is_pulled_once_it_is_signed(
    docker: Docker, pushable: ProxyProgram, proxy: ProxyProgram, owner: TrustUser, gun: str
) -> None:
    """By another proxy, which has not just learned that there is no such tag: for some seconds that is believed."""
    name = by_its_own_name(pushable, gun)
    assert docker("pull", f"{name}:1.0").returncode == 0
    docker("tag", f"{name}:1.0", f"{name}:new")
    done = docker("push", f"{name}:new")
    assert done.returncode == 0, done.stderr
    digest, reason = docker.pulled(f"{name}:new")
    assert digest == ""
    assert f"{gun}:new is not signed" in reason
    owner.run("sign", f"{gun}:new")
    digest, reason = docker.pulled(f"{by_its_own_name(proxy, gun)}:new")
    assert f"digest: {digest} " in done.stdout, reason
