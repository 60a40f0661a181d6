"""The proxy over TLS, started as its user starts it: skopeo, podman and Docker's engine with its CA in certs.d.

And what becomes of a certificate: renewed in its file while the proxy runs, expired, both told where they matter.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import EXPIRED, FAR_AWAY, Authority, make_authority
from tests.support.docker_engine import UnpackedDocker, cannot_see_another_etc, start_engine
from tests.support.images import BuiltImage
from tests.support.programs import RunningProgram, free_port, program
from tests.support.proxy_program import ProxyProgram, proxy_running
from tests.support.pulling_programs import Containers, Docker
from tests.support.stage import People, Put
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "::1"])


@pytest.fixture
def image(owner: TrustUser, gun: str, put: Put) -> BuiltImage:
    """Signed as 1.0; the tag `unsigned` lies beside it."""
    made = put("1.0", text="signed")
    put("unsigned", text="unsigned")
    owner.run("init", gun, "--no-recovery-key")
    owner.run("sign", f"{gun}:1.0")
    return made


@pytest.fixture
def operator(gun: str, image: BuiltImage, owner: TrustUser, people: People) -> TrustUser:
    found = people("operator")
    found.knows(gun, owner.pin_of(gun))
    return found


class Certificate:
    """The operator's files, and the authority that clients believe."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.authority: Authority = make_authority(folder)
        self.certificate, self.key = folder / "tls.crt", folder / "tls.key"
        self._folder = folder

    def issue(self, *, host: str = "127.0.0.1", until: datetime = FAR_AWAY) -> None:
        """Put a new one into the files, as those do who renew certificates: each file at once."""
        self.authority.server_context(self._folder, host=host, until=until)
        made = self._folder / f"server-{host}-{until:%Y}.pem"
        for target in (self.key, self.certificate):
            shutil.copy(made, made.with_suffix(".new"))
            made.with_suffix(".new").replace(target)

    @property
    def options(self) -> tuple[str, ...]:
        return "--tls-cert", str(self.certificate), "--tls-key", str(self.key)


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return Certificate(tmp_path / "certificate")


Start = Callable[..., AbstractContextManager[ProxyProgram]]


@pytest.fixture
def start(tmp_path: Path, operator: TrustUser, shared_registry: RunningProgram, certificate: Certificate) -> Start:
    def run(*options: str) -> AbstractContextManager[ProxyProgram]:
        server = operator.environ["TRUST_SERVER"]
        words = (*certificate.options, *options)
        return proxy_running(tmp_path / "proxy", shared_registry.netloc, *words, home=operator.home, server=server)

    return run


def named(netloc: str, gun: str, tag: str) -> str:
    return f"{netloc}/{gun.partition('/')[2]}:{tag}"


# --- the programs


class Believing(Containers):
    """skopeo and podman, which find the CA in the certs.d of their user."""

    def __init__(self, folder: Path, netloc: str, authority: Authority | None) -> None:
        super().__init__(folder)
        if authority is not None:
            place = folder / ".config" / "containers" / "certs.d" / netloc
            place.mkdir(parents=True)
            shutil.copy(authority.file, place / "ca.crt")


@pytest.mark.parametrize("name", ["skopeo", "podman"])
def test_it_is_pulled_from_with_its_authority_in_certs_d(
    name: str, start: Start, certificate: Certificate, gun: str, tmp_path: Path
) -> None:
    certificate.issue()
    with start() as proxy:
        pulls: dict[str, Any] = {}
        for who, authority in (("believing", certificate.authority), ("stranger", None)):
            containers = Believing(tmp_path / who, proxy.netloc, authority)
            pulls[who] = containers.copied if name == "skopeo" else containers.podman_pull
        done = pulls["believing"](named(proxy.netloc, gun, "1.0"))
        assert done.returncode == 0, done.stderr
        done = pulls["believing"](named(proxy.netloc, gun, "unsigned"))
        assert done.returncode != 0
        assert f"denied: {gun}:unsigned is not signed" in done.stderr
        done = pulls["stranger"](named(proxy.netloc, gun, "1.0"))
        assert done.returncode != 0
        assert "certificate signed by unknown authority" in done.stderr
        assert proxy.end() == 0


_HOST = "proxy.test"
"""A name for ::1: Docker takes 127.0.0.0/8 for insecure, and would look at no certificate there."""


@pytest.fixture
def own_engine(
    unpacked_docker: UnpackedDocker, tmp_path_factory: pytest.TempPathFactory, certificate: Certificate
) -> Iterator[tuple[Docker, int]]:
    """An engine with a certs.d of its own for a proxy at a port of `proxy.test`."""
    if os.geteuid() != 0:
        pytest.skip("docker.io: its engine needs root")
    program("unshare")
    if reason := cannot_see_another_etc():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("tls")  # its sockets' paths have room for 107 bytes
    etc, port = folder / "etc", free_port()
    place = etc / "docker" / "certs.d" / f"{_HOST}:{port}"
    place.mkdir(parents=True)
    shutil.copy(certificate.authority.file, place / "ca.crt")
    for file in ("passwd", "group", "nsswitch.conf", "resolv.conf"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(Path("/etc") / file, etc / file)
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n::1 {_HOST}\n")
    with start_engine(unpacked_docker, folder / "engine", etc=etc) as host:
        yield Docker(unpacked_docker, host, folder / "docker"), port


def test_docker_s_engine_pulls_from_it_with_its_authority_in_certs_d(
    own_engine: tuple[Docker, int], start: Start, certificate: Certificate, gun: str, image: BuiltImage
) -> None:
    docker, port = own_engine
    certificate.issue(host=_HOST)
    with start("--listen", f"[::1]:{port}"):
        netloc = f"{_HOST}:{port}"
        assert docker.pulled(named(netloc, gun, "1.0")) == (image.digest, "")
        digest, reason = docker.pulled(named(netloc, gun, "unsigned"))
        assert digest == ""
        assert f"denied: {gun}:unsigned is not signed" in reason
        certificate.issue(host="other.test")
        digest, reason = docker.pulled(named(netloc, gun, "1.0"))
        assert digest == ""
        assert "certificate is valid for other.test" in reason


# --- what becomes of the certificate


def serial(proxy: ProxyProgram) -> int:
    """Of the certificate that a new connection gets."""
    host, _, port = proxy.netloc.rpartition(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, int(port)), 60) as plain, context.wrap_socket(plain) as sock:
        found = sock.getpeercert(binary_form=True)
    assert found
    from cryptography import x509

    return x509.load_der_x509_certificate(found).serial_number


def test_a_certificate_is_renewed_in_its_file_while_the_proxy_runs(
    start: Start, certificate: Certificate, gun: str, tmp_path: Path
) -> None:
    certificate.issue()
    with start() as proxy:
        containers = Believing(tmp_path / "containers", proxy.netloc, certificate.authority)
        first = serial(proxy)
        assert serial(proxy) == first
        certificate.issue()
        second = serial(proxy)
        assert second != first
        certificate.certificate.write_text("half of a certif")
        assert serial(proxy) == second
        done = containers.copied(named(proxy.netloc, gun, "1.0"))
        assert done.returncode == 0, done.stderr
        assert "the certificate of before serves on" in proxy.log.read_text()
        certificate.issue(until=EXPIRED)
        assert serial(proxy) == second, "one that has expired does not replace one that counts"
        certificate.issue()
        assert serial(proxy) not in {first, second}
        assert proxy.end() == 0


def test_a_certificate_that_has_expired_is_told_to_both_ends(
    start: Start, certificate: Certificate, gun: str, tmp_path: Path
) -> None:
    certificate.issue(until=EXPIRED)
    with start("--metrics", "127.0.0.1:0") as proxy:
        containers = Believing(tmp_path / "containers", proxy.netloc, certificate.authority)
        done = containers.copied(named(proxy.netloc, gun, "1.0"))
        assert done.returncode != 0
        assert "certificate has expired" in done.stderr
        reason = f"the certificate in {certificate.certificate} expired on 2021-01-01T00:00:00Z: clients refuse it"
        assert f"{reason}; renew it, and it is read again" in proxy.log.read_text()
        assert proxy.process.stdout is not None
        url = proxy.process.stdout.readline().decode().strip().rpartition(" ")[2]
        operator = ProxyProgram(netloc=url.split("/")[2], process=proxy.process, log=proxy.log)
        ready = operator.get("/readyz")
        assert (ready.status, ready.body.decode().strip()) == (503, reason)
        assert b"trust_proxy_certificate_expiry_timestamp_seconds 1.609" in operator.get("/metrics").body
        certificate.issue()
        done = containers.copied(named(proxy.netloc, gun, "1.0"))
        assert done.returncode == 0, done.stderr
        assert operator.get("/readyz").status == 200
