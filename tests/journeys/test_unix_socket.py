"""A server that only a proxy on its machine reaches, over a Unix socket; and one on IPv6."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.published import GUN, begin
from tests.support.proxies import start_nginx
from tests.support.server_process import ServerProcess, server_command
from tests.support.stage import Put
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "::1", "::"])

_NGINX = """
server {{
  listen 127.0.0.1:PORT;
  client_max_body_size 32m;
  proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Connection "";
  proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header Forwarded "";
  location / {{ proxy_pass http://{listen}; }}
}}
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short, as that of a Unix socket must be."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as path:
        yield Path(path)


@pytest.fixture
def server(folder: Path) -> Iterator[ServerProcess]:
    process = ServerProcess(folder / "data")
    yield process
    process.kill()


def addresses(server: ServerProcess) -> list[str]:
    """From where each change was made."""
    lines = server_command("events", "--json", "--data", str(server.data)).stdout.splitlines()
    events: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [event["by"].get("address", "") for event in events]


def test_owners_work_through_nginx_and_their_addresses_are_its_word(
    server: ServerProcess, folder: Path, tmp_path: Path, gun: str, put: Put
) -> None:
    listen = f"unix:{folder}/trust.sock"
    server.start("--connections-per-address", "2", listen=listen)
    assert server.url == listen
    with start_nginx(tmp_path / "nginx", _NGINX.format(listen=listen)) as nginx:
        put("1.0")
        owner = TrustUser(tmp_path / "owner", f"http://{nginx.netloc}")
        owner.run("init", gun, "--no-recovery-key")
        owner.run("key", "generate", "ci", "--dir", str(tmp_path))
        owner.run("signer", "add", "--key", str(tmp_path / "ci.pub"), "ci", gun)
        owner.run("sign", f"{gun}:1.0", "--signer", "ci")
        owner.run("verify", f"{gun}:1.0")
    through = addresses(server)
    assert set(through) == {"127.0.0.1"}
    begin(server)
    assert set(addresses(server)[len(through) :]) == {""}, "of whom nobody says where they are, nothing is known"

    upload = f"POST /api/v1/collections/{GUN}/publish HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n".encode()
    with contextlib.ExitStack() as held:
        waiting = [held.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(9)]
        for connection in waiting:
            connection.connect(listen.removeprefix("unix:"))
            connection.sendall(upload)
        assert server.get("/readyz")[0] == 200
        for connection in waiting:  # a proxy has no share of connections of its own
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection.recv(1)


def test_a_killed_server_starts_again_and_a_second_one_does_not(server: ServerProcess, folder: Path) -> None:
    path = folder / "trust.sock"
    server.start(listen=f"unix:{path}")
    assert json.loads((server.data / "server.lock").read_text())["listen"] == f"unix:{path}"
    refused = server_command("serve", "--data", str(folder / "other"), "--listen", f"unix:{path}", expect=2)
    assert refused.stderr.splitlines()[-1] == (
        f"trust-server: --listen unix:{path}: another program listens there; stop that one, or name another path"
    )
    assert server.get("/healthz")[0] == 200
    server.signal(signal.SIGKILL)
    server.wait()
    assert path.is_socket()
    server.start(listen=f"unix:{path}")
    assert server.stop() == 0
    assert not path.exists()


@pytest.mark.parametrize(
    ("listen", "options", "clients"),
    [("[::1]:0", (), ["::1"]), ("[::]:0", ("--insecure-open",), ["::1", "127.0.0.1"])],
)
def test_on_ipv6(server: ServerProcess, listen: str, options: tuple[str, ...], clients: list[str]) -> None:
    server.start(*options, listen=listen)
    port = int(server.url.rpartition(":")[2])
    assert server.url == f"http://{listen.removesuffix('0')}{port}"
    for client in clients:
        with socket.create_connection((client, port), timeout=60) as connection:
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
