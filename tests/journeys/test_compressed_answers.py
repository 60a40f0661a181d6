"""Compressed trust data over the wire: curl gets the same bytes with fewer of them, python-tuf verifies as before."""

from __future__ import annotations

import hashlib
import http.client
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tuf.ngclient import Updater, UpdaterConfig
from tuf.ngclient._internal.proxy import ProxyEnvironment
from tuf.ngclient.urllib3_fetcher import Urllib3Fetcher

from tests.support.programs import program
from tests.support.server_owner import Owner
from tests.support.server_process import ServerProcess
from trustcli.client.server_link import ServerLink
from trustcli.client.tuf_remote import TufRemote
from trustcli.config.docker_config import DockerConfig
from trustcli.http.network import Network
from trustcli.http.tls import CertificateAuthorities
from trustdata.gun import parse_gun
from trustdata.roles import TARGETS
from trustserver.process.kernel_clock import now

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

GUN = "registry.example.com/team/app"
TAGS = 3000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """With one collection of many tags."""
    process = ServerProcess(tmp_path / "data")
    process.start()
    owner = Owner(now())
    process.learn_keys(owner, GUN)
    owner.tags = {f"v{number}": hashlib.sha256(str(number).encode()).hexdigest() for number in range(TAGS)}
    assert process.publish(GUN, owner.first_upload())[0] == 200
    assert process.publish(GUN, {TARGETS: owner.targets()})[0] == 200
    yield process
    process.kill()


def test_curl_gets_the_same_bytes_with_and_without(server: ServerProcess, tmp_path: Path) -> None:
    url = f"{server.url}/tuf/{GUN}/metadata/2.targets.json"
    sizes = {}
    for name, options in {"plain": [], "first": ["--compressed"], "again": ["--compressed"]}.items():
        done = subprocess.run(
            [program("curl"), "-sS", "--fail", "-o", tmp_path / name, "-w", "%{json}", *options, url],
            capture_output=True,
            text=True,
            check=True,
        )
        sizes[name] = json.loads(done.stdout)["size_download"]
    plain = (tmp_path / "plain").read_bytes()
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes() == plain
    assert sizes["plain"] == len(plain)
    assert sizes["first"] == sizes["again"] < len(plain) / 2


def test_our_client_gets_a_large_file_compressed_and_gives_its_bytes(server: ServerProcess) -> None:
    def view_bytes() -> float:
        text = server.get("/metrics")[1].decode()
        return float(next(line.split()[1] for line in text.splitlines() if line.startswith("trust_server_view_bytes ")))

    remote = TufRemote(
        ServerLink(
            server.url,
            Network(authorities=CertificateAuthorities({}), environ={}),
            DockerConfig({"DOCKER_CONFIG": "/nonexistent"}),
        )
    )
    plain = server.get(f"/tuf/{GUN}/metadata/2.targets.json")[1]
    before = view_bytes()
    assert remote.fetch(parse_gun(GUN), "2.targets.json", limit=len(plain)) == plain
    assert before + len(plain) * 0.3 < view_bytes() < before + len(plain) / 2, "its compressed form is kept"
    remote.close()


def test_a_range_is_not_asked_of_us_and_gets_everything(server: ServerProcess) -> None:
    host = server.url.removeprefix("http://")
    for accepted in ("identity", "gzip"):
        connection = http.client.HTTPConnection(host, timeout=60)
        headers = {"Range": "bytes=0-9", "Accept-Encoding": accepted}
        connection.request("GET", f"/tuf/{GUN}/metadata/2.targets.json", headers=headers)
        answer = connection.getresponse()
        assert (answer.status, len(answer.read()) > 1000) == (200, True)
        connection.close()


@pytest.mark.parametrize("accepted", ["identity", "gzip, deflate"])
def test_python_tuf_verifies_either_form(server: ServerProcess, tmp_path: Path, accepted: str) -> None:
    """Today's python-tuf asks for plain bytes; up to version 5 (on requests) it asked for gzip."""
    fetcher = Urllib3Fetcher()
    fetcher._proxy_env = ProxyEnvironment(headers={"Accept-Encoding": accepted})
    base = f"{server.url}/tuf/{GUN}/metadata/"
    root = server.get(f"/tuf/{GUN}/metadata/1.root.json")[1]
    for number in range(2):
        folder = tmp_path / f"client{number}"
        folder.mkdir()
        updater = Updater(
            str(folder),
            base,
            target_dir=str(folder),
            target_base_url=base,
            config=UpdaterConfig(),
            bootstrap=root,
            fetcher=fetcher,
        )
        updater.refresh()
        info = updater.get_targetinfo(f"v{TAGS - 1}")
        assert info is not None
        assert info.hashes == {"sha256": hashlib.sha256(str(TAGS - 1).encode()).hexdigest()}
