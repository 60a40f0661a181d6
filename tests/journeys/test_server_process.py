"""The real server: ready, TLS, stopping, crashing. Verified with python-tuf's own client."""

from __future__ import annotations

import json
import resource
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tuf.api.exceptions import DownloadError
from tuf.ngclient import Updater, UpdaterConfig

from tests.journeys.published import GUN, begin
from tests.support.server_process import ServerProcess, multipart, server_command
from tests.support.trust_program import TrustUser
from trustdata.roles import ROOT, TARGETS

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path / "data")
    yield process
    process.kill()


def connected(server: ServerProcess) -> socket.socket:
    host, port = server.url.rpartition("//")[2].split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def verify(server: ServerProcess, folder: Path, root: bytes) -> Updater:
    """Refresh with python-tuf from the given root."""
    folder.mkdir(exist_ok=True)
    base = f"{server.url}/tuf/{GUN}/metadata/"
    updater = Updater(
        str(folder), base, target_dir=str(folder), target_base_url=base, config=UpdaterConfig(), bootstrap=root
    )
    updater.refresh()
    return updater


def versions(server: ServerProcess) -> dict[str, int]:
    status, body = server.get(f"/api/v1/collections/{GUN}")
    assert status == 200, body
    found: dict[str, int] = json.loads(body)["versions"]
    return found


def test_publish_read_stop_start_and_verify_with_python_tuf(server: ServerProcess, tmp_path: Path) -> None:
    server.fresh = True
    server.start()
    owner = begin(server)
    root = server.get(f"/tuf/{GUN}/metadata/1.root.json")[1]
    info = verify(server, tmp_path / "client", root).get_targetinfo("1.0")
    assert info is not None
    assert info.hashes == {"sha256": "ab" * 32}
    owner.tags["2.0"] = "cd" * 32
    assert server.publish(GUN, {ROOT: owner.root(), TARGETS: owner.targets()})[0] == 200
    assert server.stop() == 0
    server.start()
    assert versions(server) == {"root": 2, "targets": 2, "snapshot": 2, "timestamp": 2}
    assert verify(server, tmp_path / "client", root).get_targetinfo("2.0") is not None
    assert server.stop() == 0
    for line in server.log().splitlines():
        assert json.loads(line)["level"] == "info"


def test_self_signed_tls_is_trusted_by_its_ca_and_kept(server: ServerProcess) -> None:
    server.start("--self-signed")
    assert server.url.startswith("https://127.0.0.1:")
    assert server.ca == str(server.data / "tls" / "ca.crt")
    kept = {path.name: path.read_bytes() for path in (server.data / "tls").iterdir()}
    assert server.stop() == 0
    server.start("--self-signed")
    assert {path.name: path.read_bytes() for path in (server.data / "tls").iterdir()} == kept
    assert server.get("/healthz")[0] == 200


def test_sigterm_finishes_the_publish_that_it_finds(server: ServerProcess) -> None:
    server.start()
    owner = begin(server)
    host, port = server.url.removeprefix("http://").split(":")
    kind, body = multipart({TARGETS: owner.targets()})
    head = (
        f"POST /api/v1/collections/{GUN}/publish HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(head.encode() + body[:100])
        # Whoever is answered on a later connection was taken after this one: the server has seen its head.
        assert server.get("/healthz")[0] == 200
        server.signal(signal.SIGTERM)
        while server.get("/readyz")[0] != 503:
            pass
        connection.sendall(body[100:])
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200"), answer
    assert server.wait() == 0
    server.start()
    assert versions(server)["targets"] == 2


def recorded(server: ServerProcess) -> list[int]:
    """The numbers of the events that the server has of the collection; each is that of its revision."""
    events: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = json.loads(server.get(f"/api/v1/events?name={GUN}&after={after}")[1])
        events += [row["event"] for row in page["events"]]
        after = page["next"]
    assert [event["number"] for event in events] == [event["name_number"] for event in events]
    return [event["revision"] for event in events]


@pytest.mark.parametrize("moment", ["before-commit", "after-commit"])
def test_killed_in_a_publish_the_collection_is_wholly_old_or_wholly_new(
    server: ServerProcess, tmp_path: Path, moment: str
) -> None:
    server.program = ("tests.journeys.dying_server", "serve")
    server.start(environ={"DIE_AT": moment, "DIE_AFTER": "2"})
    owner = begin(server)
    root = server.get(f"/tuf/{GUN}/metadata/1.root.json")[1]
    assert server.publish(GUN, {TARGETS: owner.targets()})[0] == 200
    with pytest.raises(OSError, match=r".*"):
        server.publish(GUN, {ROOT: owner.root(), TARGETS: owner.targets()})
    assert server.wait() == -signal.SIGKILL
    server.program = ("trustserver", "serve")
    server.start()
    new = moment == "after-commit"
    expected = {"root": 2, "targets": 3, "snapshot": 3, "timestamp": 3} if new else {
        "root": 1, "targets": 2, "snapshot": 2, "timestamp": 2
    }  # fmt: skip
    assert versions(server) == expected
    assert server.get(f"/tuf/{GUN}/metadata/3.targets.json")[0] == (200 if new else 404)
    assert recorded(server) == ([1, 2, 3] if new else [1, 2]), "a change that was not made has no event"
    verify(server, tmp_path / "client", root)
    subprocess.run([sys.executable, "-m", "trustserver", "check", "--data", server.data], check=True)


@pytest.mark.parametrize("rounds", [2, pytest.param(25, marks=pytest.mark.long)])
def test_killed_at_any_moment_while_publishing_in_a_loop(server: ServerProcess, tmp_path: Path, rounds: int) -> None:
    server.start()
    owner = begin(server)
    root = server.get(f"/tuf/{GUN}/metadata/1.root.json")[1]
    for number in range(rounds):
        published = threading.Semaphore(0)
        answered = [owner.versions[TARGETS]]

        def publish_until_it_dies(answered: list[int] = answered, published: Any = published) -> None:
            while True:
                raw = owner.targets()
                try:
                    status, _ = server.publish(GUN, {TARGETS: raw})
                except (OSError, ValueError):
                    return
                assert status == 200
                answered[0] = owner.versions[TARGETS]
                published.release()

        publisher = threading.Thread(target=publish_until_it_dies)
        publisher.start()
        for _ in range(3 + number % 5):  # then somewhere in the next one
            assert published.acquire(timeout=60)
        server.kill()
        publisher.join()
        server.start()
        found = versions(server)
        assert found["targets"] in {answered[0], answered[0] + 1}, "what was answered with 200 is there"
        assert found["snapshot"] == found["timestamp"] == found["targets"]
        assert recorded(server) == list(range(1, found["targets"] + 1)), "with one event for each publish"
        owner.versions[TARGETS] = found["targets"]
        verify(server, tmp_path / f"client{number}", root)


def test_two_servers_do_not_share_a_data_folder_or_an_address(server: ServerProcess, tmp_path: Path) -> None:
    server.start()
    command = ["serve", "--listen", server.url.removeprefix("http://")]
    same_folder = server_command(*command, "--data", str(server.data), expect=2)
    assert f"another trust-server works on it: process {server.pid}" in same_folder.stderr
    same_address = server_command(*command, "--data", str(tmp_path / "b"), expect=2)
    assert "cannot be used" in same_address.stderr


def test_a_tombstone_is_released_by_the_operator_while_the_server_runs(server: ServerProcess) -> None:
    server.start()
    begin(server)
    assert server.get(f"/api/v1/collections/{GUN}", method="DELETE")[0] == 200
    assert server.get(f"/api/v1/collections/{GUN}")[0] == 410
    command = [sys.executable, "-m", "trustserver", "collections"]
    listed = subprocess.run([*command, "list", "--data", server.data], capture_output=True, text=True, check=True)
    assert f"{GUN}  tuf-1.0  deleted" in listed.stdout
    subprocess.run([*command, "release", GUN, "--data", server.data], check=True)
    begin(server)
    assert versions(server)["root"] == 1


def test_sealed_keys_without_their_seal_key_stop_the_start(server: ServerProcess) -> None:
    server.start()
    begin(server)
    assert server.stop() == 0
    seal = server.data / "seal.key"
    kept = seal.read_bytes()
    seal.unlink()
    refused = server_command("serve", "--listen", "127.0.0.1:0", "--data", str(server.data), expect=2)
    assert "seal key" in refused.stderr
    assert not seal.exists(), "a new one is never made"
    seal.write_bytes(kept)
    seal.chmod(0o600)
    server.start()
    assert versions(server)["root"] == 1


def test_a_slow_body_is_refused_with_408(server: ServerProcess) -> None:
    server.start("--upload-seconds", "1")
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(
            f"POST /api/v1/collections/{GUN}/publish HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n".encode()
        )
        assert connection.recv(65536).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("sent", [b"", b"GET /heal", b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_a_connection_that_says_nothing_more_is_closed(server: ServerProcess, sent: bytes) -> None:
    server.program = ("tests.journeys.impatient_server", "serve")
    server.start()
    with connected(server) as connection:
        connection.sendall(sent)
        while connection.recv(65536):
            pass  # an answer perhaps, then the end


def test_over_tls_too_an_idle_connection_is_closed(server: ServerProcess) -> None:
    server.program = ("tests.journeys.impatient_server", "serve")
    server.start("--self-signed")
    context = ssl.create_default_context(cafile=server.ca)
    with connected(server) as connection, context.wrap_socket(connection, server_hostname="127.0.0.1") as secured:
        assert secured.recv(1) == b""


def test_http_2_is_not_spoken(server: ServerProcess) -> None:
    server.start()
    with connected(server) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        assert connection.recv(65536) == b""


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="needs /proc")
def test_as_many_files_may_be_open_as_the_system_allows(server: ServerProcess) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[1]), before[1]))
    try:
        server.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert resource.prlimit(server.pid, resource.RLIMIT_NOFILE) == (before[1], before[1])


def test_names_that_look_like_questions_are_signed_and_verified(server: ServerProcess, tmp_path: Path) -> None:
    server.start()
    user = TrustUser(tmp_path / "user", server.url)
    for gun in ("registry.example.com/ci/publish", "registry.example.com/ci/keys/alice"):
        user.run("init", gun, "--recovery-key", str(tmp_path / f"{gun.replace('/', '-')}.key"))
        assert json.loads(server.get(f"/api/v1/collections/{gun}")[1])["gun"] == gun
        user.run("key", "rotate", "snapshot", gun)
        user.run("inspect", gun)


def test_a_deleted_collection_is_an_error_for_python_tuf_too(server: ServerProcess, tmp_path: Path) -> None:
    server.start()
    begin(server)
    root = server.get(f"/tuf/{GUN}/metadata/1.root.json")[1]
    server.get(f"/api/v1/collections/{GUN}", method="DELETE")
    with pytest.raises(DownloadError):
        verify(server, tmp_path / "client", root)
