"""The Notary v1 API of the real server: Debian's `notary` over TLS, restarts, the front, and what the check says."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.notary_owner import NotaryOwner
from tests.support.notary_site import EMPTY, FORM, form
from tests.support.programs import program
from tests.support.server_process import ServerProcess
from trustdata.roles import ONLINE, TARGETS
from trustserver.process.kernel_clock import now

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

GUN = "registry.example.com:5000/team/app"
BASE = f"/v2/{GUN}/_trust/tuf/"
COMMAND_SECONDS = 60
PASSPHRASES = {
    f"NOTARY_{role}_PASSPHRASE": f"{role.lower()}-passphrase" for role in ("ROOT", "TARGETS", "SNAPSHOT", "DELEGATION")
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path / "data")
    yield process
    process.kill()


class Notary:
    """One person with Debian's client."""

    def __init__(self, folder: Path, server: ServerProcess) -> None:
        self.folder = folder
        self._program = program("notary")
        self._server = server
        folder.mkdir()

    def run(self, *arguments: str) -> str:
        assert self._server.ca is not None
        where = ["-s", self._server.url, "--tlscacert", self._server.ca, "-d", str(self.folder / "trust")]
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.folder), **PASSPHRASES}
        done = subprocess.run(
            [self._program, *where, *arguments],
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            cwd=self.folder,
            env=environ,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout


def test_the_unmodified_notary_client_lives_with_the_server(server: ServerProcess, tmp_path: Path) -> None:
    server.start("--self-signed")
    alice, bob = Notary(tmp_path / "alice", server), Notary(tmp_path / "bob", server)
    (alice.folder / "content").write_bytes(b"hello\n")
    digest = hashlib.sha256(b"hello\n").hexdigest()

    alice.run("init", GUN)
    alice.run("add", GUN, "1.0", "content")
    alice.run("publish", GUN)
    assert digest in bob.run("list", GUN)
    assert bob.run("lookup", GUN, "1.0").split() == ["1.0", f"sha256:{digest}", "6"]

    alice.run("key", "rotate", GUN, "snapshot", "--server-managed")
    alice.run("key", "rotate", GUN, "timestamp", "--server-managed")
    alice.run("add", "--publish", GUN, "2.0", "content")
    assert bob.run("lookup", GUN, "2.0").split()[1] == f"sha256:{digest}", "a client that knew the old keys"

    assert server.stop() == 0
    server.start("--self-signed")
    assert "2.0" in bob.run("list", GUN)
    assert server.get("/_notary_server/health") == (200, b"{}")
    versions = [record["Version"] for record in json.loads(server.get("/v2/_trust/changefeed?records=0")[1])["records"]]
    assert versions == [1, 2, 3, 4]

    alice.run("delete", "--remote", GUN)
    assert server.get(f"{BASE}root.json")[0] == 404
    assert server.stop() == 0
    server.start("--self-signed")
    alice.run("init", "--publish", GUN)
    assert "No targets present" in Notary(tmp_path / "carol", server).run("list", GUN)
    assert server.stop() == 0
    assert checked(server) == []


def checked(server: ServerProcess) -> list[str]:
    """What `trust-server check` finds wrong in the data of a server that was stopped."""
    command = [sys.executable, "-m", "trustserver", "check", "--json", "--data", str(server.data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    return [finding["message"] for finding in json.loads(done.stdout)["findings"] if finding["wrong"]]


def begin(server: ServerProcess) -> NotaryOwner:
    owner = NotaryOwner(GUN, at=now())
    for role in ONLINE:
        owner.learn(role, json.loads(server.get(f"{BASE}{role}.key")[1]))
    files = [(str(role), raw) for role, raw in owner.first_upload().items()]
    assert server.get(BASE, method="POST", data=form(files), kind=FORM) == (200, b"")
    return owner


def test_what_was_answered_with_200_is_there_after_a_crash(server: ServerProcess) -> None:
    server.start("--resign-seconds", "0")
    owner = begin(server)
    assert server.get(BASE, method="POST", data=EMPTY, kind=FORM) == (200, b"")
    before = {name: server.get(f"{BASE}{name}")[1] for name in ("root.json", "snapshot.json", "timestamp.json")}
    server.kill()
    server.start()
    for name, raw in before.items():
        assert server.get(f"{BASE}{name}") == (200, raw), name
    assert server.get(f"{BASE}targets.{owner.written[TARGETS].sha256}.json") == (200, owner.written[TARGETS].raw)
    records = json.loads(server.get("/v2/_trust/changefeed?records=0")[1])["records"]
    assert [record["Version"] for record in records] == [1, 2]
    assert records[-1]["SHA256"] == hashlib.sha256(before["timestamp.json"]).hexdigest()


def test_hot_reads_of_plain_http_are_answered_by_the_front_with_the_same_headers(server: ServerProcess) -> None:
    server.start()
    begin(server)
    host = server.url.removeprefix("http://")
    asked = f"GET {BASE}timestamp.json HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: gzip\r\n"
    kept, closed = exchange(host, f"{asked}\r\n"), exchange(host, f"{asked}Connection: close\r\n\r\n")
    assert heads(kept) == heads(closed)
    assert "cache-control: public, max-age=300, s-maxage=300, must-revalidate" in heads(kept)
    assert kept.partition(b"\r\n\r\n")[2] == closed.partition(b"\r\n\r\n")[2] != b""


def exchange(host: str, request: str) -> bytes:
    """The answer to one request, head and body."""
    name, port = host.split(":")
    with socket.create_connection((name, int(port)), timeout=COMMAND_SECONDS) as connection:
        connection.sendall(request.encode())
        answer = b""
        while b"\r\n\r\n" not in answer or len(answer.partition(b"\r\n\r\n")[2]) < announced(answer):
            piece = connection.recv(65536)
            assert piece, "the connection ended"
            answer += piece
    return answer


def announced(answer: bytes) -> int:
    head = answer.partition(b"\r\n\r\n")[0].lower()
    return int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])


def heads(answer: bytes) -> list[str]:
    """The headers that tell of the answer itself."""
    lines = answer.partition(b"\r\n\r\n")[0].decode().lower().split("\r\n")
    return sorted(line for line in lines if not line.startswith(("date:", "server:", "connection:")))
