"""Clients that ask and take no answer, or only begin to ask: they keep neither others out nor the server alive."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server_owner import Owner
from tests.support.server_process import ServerProcess
from trustserver.process.kernel_clock import now
from trustserver.server.tunnel import BACKLOG

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

GUN = "registry.example.com/team/app"
LARGE = f"/tuf/{GUN}/metadata/1.targets.json"
IMPATIENT = ("tests.journeys.impatient_server", "serve")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path / "data")
    yield process
    process.kill()


def publish_large(server: ServerProcess) -> None:
    """A file that does not fit into the kernel's buffers."""
    owner = Owner(now())
    owner.tags = {f"tag-{number}": "ab" * 32 for number in range(42_000)}
    server.learn_keys(owner, GUN)
    assert server.publish(GUN, owner.first_upload())[0] == 200


def connected(server: ServerProcess) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(15)  # far below the time after which the server ends what says nothing
    host, port = server.url.rpartition("//")[2].split(":")
    client.connect((host, int(port)))
    return client


def asked_by_a_stuck_reader(server: ServerProcess, *headers: str) -> socket.socket:
    client = connected(server)
    if server.ca:
        client = ssl.create_default_context(cafile=server.ca).wrap_socket(client, server_hostname="127.0.0.1")
    client.sendall("\r\n".join([f"GET {LARGE} HTTP/1.1", "Host: a", *headers, "", ""]).encode())
    assert client.recv(9) == b"HTTP/1.1 "
    return client


def open_files(server: ServerProcess) -> int:
    return len(os.listdir(f"/proc/{server.pid}/fd"))  # noqa: PTH208 - a count


@pytest.mark.parametrize("options", [[], ["--self-signed"]], ids=["plain", "tls"])
@pytest.mark.parametrize("headers", [[], ["X-Other: 1"]], ids=["hot", "behind"])
def test_a_stop_does_not_wait_for_ever_for_who_does_not_read(
    server: ServerProcess, options: list[str], headers: list[str]
) -> None:
    server.program = IMPATIENT
    server.start(*options)
    publish_large(server)
    with asked_by_a_stuck_reader(server, *headers):
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


@pytest.mark.parametrize("headers", [[], ["X-Other: 1"]], ids=["hot", "behind"])
def test_who_does_not_read_is_ended(server: ServerProcess, headers: list[str]) -> None:
    """The answer, megabytes of it, would be held for him for as long as he likes."""
    server.program = IMPATIENT
    server.start()
    publish_large(server)
    before = open_files(server)
    with asked_by_a_stuck_reader(server, *headers):
        assert any(open_files(server) <= before for _ in range(5000) if server.get("/healthz")[0] == 200)


def test_connections_that_only_begin_to_ask_keep_nobody_waiting(server: ServerProcess) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server.start()
    try:
        with contextlib.ExitStack() as many:
            for _ in range(BACKLOG + 50):
                many.enter_context(connected(server)).sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n")
            with connected(server) as other:
                other.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
                assert other.recv(65536).startswith(b"HTTP/1.1 200")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
