"""A disk that is really full: clear refusals, nothing half-written, the old state served; then space, no restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tuf.ngclient import Updater, UpdaterConfig

from tests.journeys.small_disk import SmallDisk, small_disk
from tests.support.server_owner import Owner
from tests.support.server_process import ServerProcess, server_command
from tests.support.server_site import GUN_A, Site
from tests.support.trust_program import TrustUser
from trustdata.roles import ROOT, TARGETS
from trustserver.process.kernel_clock import now
from trustserver.settings import Settings
from trustserver.storage.opening import open_sealer, open_store

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

GUN = "registry.example.com/team/app"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as mounted:
        yield mounted


@pytest.fixture
def server(disk: SmallDisk) -> Iterator[ServerProcess]:
    """Its data folder and its log are both on the small disk."""
    process = ServerProcess(disk.path / "data")
    yield process
    process.kill()


def begin(server: ServerProcess) -> Owner:
    owner = Owner(now())
    owner.tags = {"1.0": "ab" * 32}
    server.learn_keys(owner, GUN)
    status, body = server.publish(GUN, owner.first_upload())
    assert status == 200, body
    return owner


def tag(server: ServerProcess, folder: Path, name: str) -> bool:
    """Whether python-tuf, from the first root and without memory, finds this tag."""
    folder.mkdir(exist_ok=True)
    base = f"{server.url}/tuf/{GUN}/metadata/"
    root = server.get(f"/tuf/{GUN}/metadata/1.root.json")[1]
    updater = Updater(
        str(folder), base, target_dir=str(folder), target_base_url=base, config=UpdaterConfig(), bootstrap=root
    )
    updater.refresh()
    return updater.get_targetinfo(name) is not None


def check(server: ServerProcess) -> str:
    """`trust-server check`, which must find nothing wrong."""
    return server_command("check", "--data", str(server.data)).stdout


def test_a_publish_is_refused_whole_and_succeeds_in_the_same_process_once_there_is_space(
    server: ServerProcess, disk: SmallDisk, tmp_path: Path
) -> None:
    server.start()
    owner = begin(server)
    pid = server.pid
    disk.fill()
    owner.tags["2.0"] = "cd" * 32
    upload = {ROOT: owner.root(), TARGETS: owner.targets()}
    for _ in range(3):
        status, body = server.publish(GUN, upload)
        problem = json.loads(body)
        assert (status, problem["code"], problem["title"]) == (507, "disk-full", "Disk full")
        assert problem["detail"] == "nothing was stored: the disk of the server's database is full"
    versions = {"root": 1, "snapshot": 1, "targets": 1, "timestamp": 1}
    assert json.loads(server.get(f"/api/v1/collections/{GUN}")[1])["versions"] == versions
    assert server.get(f"/tuf/{GUN}/metadata/2.targets.json")[0] == 404
    assert server.get(f"/tuf/{GUN}/metadata/2.root.json")[0] == 404
    assert tag(server, tmp_path / "python-tuf", "1.0")
    assert not tag(server, tmp_path / "python-tuf", "2.0")
    assert check(server)
    status, body = server.get("/readyz")
    assert (status, json.loads(body)) == (
        200,
        {"status": "ready", "warnings": ["writes are refused: the disk of the server's database is full"]},
    )
    metrics = server.get("/metrics")[1]
    assert b'trust_server_publishes_total{outcome="disk-full"} 3.0' in metrics
    assert b"trust_server_writes_refused 1.0" in metrics

    disk.free()
    assert server.publish(GUN, upload)[0] == 200
    assert server.pid == pid
    assert tag(server, tmp_path / "python-tuf", "2.0")
    assert json.loads(server.get("/readyz")[1]) == {"status": "ready"}
    assert b"trust_server_writes_refused 0.0" in server.get("/metrics")[1]
    assert server.stop() == 0
    assert check(server)


def test_keys_rotations_and_deletions_are_refused_too(server: ServerProcess, disk: SmallDisk) -> None:
    server.start()
    begin(server)
    disk.fill()
    requests = [
        ("POST", f"/api/v1/collections/{GUN}/keys/snapshot"),
        ("DELETE", f"/api/v1/collections/{GUN}"),
    ]
    for method, path in requests:
        status, body = server.get(path, method=method, data=b"" if method == "POST" else None)
        assert (status, json.loads(body)["code"]) == (507, "disk-full"), path
    assert server.get(f"/api/v1/collections/{GUN}")[0] == 200
    new = "/api/v1/collections/registry.example.com/new/keys/timestamp"
    assert server.get(new)[0] == 200, "nothing is stored for it"
    disk.free()
    for method, path in requests:
        assert server.get(path, method=method, data=b"" if method == "POST" else None)[0] == 200, path


def test_what_the_client_says(server: ServerProcess, disk: SmallDisk, tmp_path: Path) -> None:
    server.start()
    user = TrustUser(tmp_path / "user", server.url)
    user.run("init", GUN, "--recovery-key", "recovery.key")
    user.run("key", "generate", "alice")
    disk.fill()
    for command in (
        ("signer", "add", "--key", "alice.pub", "alice", GUN),
        ("key", "rotate", "timestamp", GUN),
        ("init", "registry.example.com/new", "--recovery-key", "recovery.key"),
    ):
        user.run(*command, expect=6).said(
            f"{server.url} has no space left on its disk and changed nothing (nothing was stored: ",
            f"next: tell the operator of {server.url}; when there is space again, run the same command again",
        )
    user.run("inspect", GUN)
    disk.free()
    user.run("signer", "add", "--key", "alice.pub", "alice", GUN)
    assert "alice" in user.run("signer", "list", GUN).stdout


def test_a_stop_and_a_crash_on_a_full_disk_lose_nothing(server: ServerProcess, disk: SmallDisk, tmp_path: Path) -> None:
    server.start()
    owner = begin(server)
    for number in range(2, 6):
        assert server.publish(GUN, {TARGETS: owner.targets()})[0] == 200
        disk.fill()
        if number % 2:
            server.kill()
        else:
            assert server.stop() == 0
        disk.free()
        server.start()
        assert json.loads(server.get(f"/api/v1/collections/{GUN}")[1])["versions"]["targets"] == number
    assert tag(server, tmp_path / "python-tuf", "1.0")
    assert check(server)


def test_a_start_without_space_says_why_in_one_line(server: ServerProcess, disk: SmallDisk) -> None:
    disk.fill()
    for options in ([], ["--self-signed"]):
        done = server_command("serve", "--listen", "127.0.0.1:0", "--data", str(server.data), *options, expect=2)
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1, done.stderr
        assert any(words in done.stderr for words in ("No space left", "disk is full")), done.stderr
    disk.free()
    server.start()
    begin(server)


def test_a_log_without_space_stops_nothing(server: ServerProcess, disk: SmallDisk) -> None:
    server.start()
    begin(server)
    disk.fill()
    for _ in range(50):
        assert server.get(f"/api/v1/collections/{GUN}", method="DELETE")[0] == 507
        assert server.publish(GUN, {TARGETS: b"{}"})[0] == 422  # each writes a line
    written = len(server.log())
    disk.free()
    assert server.publish(GUN, {TARGETS: b"{}"})[0] == 422
    assert json.loads(server.log().splitlines()[-1])["event"] == "publish refused"
    assert "Traceback" not in server.log()
    assert len(server.log()) > written


def test_a_renewal_without_space_is_logged_and_reads_go_on(disk: SmallDisk, caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(data=disk.path / "data")
    store = open_store(settings)
    site = Site(store, sealer=open_sealer(settings, store))
    try:
        for number in range(3):
            site.begin(f"{GUN_A}{number}")
        disk.fill()
        site.later(hours=40)
        asyncio.run(site.app.upkeep_round())
        failures = [vars(record) for record in caplog.records if record.getMessage() == "renewal failed"]
        assert [(each["gun"], each["code"]) for each in failures] == [(f"{GUN_A}0", "disk-full")], (
            "the others not tried"
        )
        assert "warnings" in site.get("/readyz").json(), "that no offers were to be dropped proves nothing"
        old = site.file("timestamp.json", gun=f"{GUN_A}1")
        assert (old.status_code, old.json()["signed"]["version"]) == (200, 1)
        assert site.get("/readyz").json()["warnings"] == [
            "writes are refused: the disk of the server's database is full"
        ]
        asyncio.run(site.app.upkeep_round())
        assert site.get("/readyz").status_code == 200
        assert "warnings" in site.get("/readyz").json()
        assert caplog.records[-1].getMessage() == "upkeep failed"

        disk.free()
        asyncio.run(site.app.upkeep_round())
        assert site.get("/readyz").json() == {"status": "ready"}
        site.at += timedelta(seconds=31)
        for number in range(3):
            assert site.file("timestamp.json", gun=f"{GUN_A}{number}").json()["signed"]["version"] == 2
    finally:
        store.close()


def test_the_probe_notices_space_without_a_publish(disk: SmallDisk) -> None:
    settings = Settings(data=disk.path / "data")
    store = open_store(settings)
    site = Site(store, sealer=open_sealer(settings, store))
    try:
        site.begin()
        disk.fill()
        assert site.request("DELETE", f"/api/v1/collections/{GUN_A}").status_code == 507
        asyncio.run(site.app.upkeep_round())
        assert "warnings" in site.get("/readyz").json()
        disk.free()
        asyncio.run(site.app.upkeep_round())
        assert site.get("/readyz").json() == {"status": "ready"}
    finally:
        store.close()
