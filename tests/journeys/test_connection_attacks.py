"""Whoever opens connections without end keeps nobody else out of the running server, and leaves nothing behind.

The attacker is at other addresses than the honest client, as 127.0.0.2; and once both come through one proxy.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.attackers import Target
from tests.support.attackers.connections import addresses, connect, half_of_it
from tests.support.attackers.tls_records import logged_records, opened
from tests.support.certificates import make_authority
from tests.support.programs import free_port, program, running
from tests.support.server_process import ServerProcess
from trustserver.server.serving import FILES_OF_A_CONNECTION, OTHER_FILES

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

FILES = 256
"""What few_files_server.py may open."""
FEW_FILES = ("tests.journeys.few_files_server", "serve")
TOTAL = (FILES - OTHER_FILES) // FILES_OF_A_CONNECTION

_NGINX = """
daemon off;
master_process off;
worker_processes 1;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass {url};
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header Forwarded "";
    }}
  }}
}}
"""

Start = Callable[..., ServerProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a server that may open few files."""
    process = ServerProcess(tmp_path / "data", program=FEW_FILES)

    def started(*options: str) -> ServerProcess:
        process.start(*options)
        return process

    yield started
    process.kill()


def token_options(folder: Path) -> Sequence[str]:
    """Options of a server that wants tokens; nobody makes any here."""
    certificate = make_authority(folder).file
    named = {"realm": "https://auth.example.com/token", "service": "here", "issuer": "there", "cert": str(certificate)}
    return [part for name, value in named.items() for part in (f"--auth-token-{name}", value)]


def target(server: ServerProcess) -> Target:
    host, port = server.url.rpartition("//")[2].split(":")
    return Target(host=host, port=int(port), ca=Path(server.ca) if server.ca else None)


def open_files(server: ServerProcess) -> int:
    return len(os.listdir(f"/proc/{server.pid}/fd"))  # noqa: PTH208 - a count


def closed(client: socket.socket) -> bool:
    """Whether the server closes this connection, or has."""
    try:
        while client.recv(4096):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("with_tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("with_tokens", [False, True], ids=["open", "tokens"])
@pytest.mark.parametrize("sources", [["127.0.0.2"], list(addresses(100))], ids=["one", "many"])
def test_half_of_a_handshake_or_a_request_keeps_nobody_out(
    start: Start,
    tmp_path: Path,
    with_tls: bool,  # noqa: FBT001
    with_tokens: bool,  # noqa: FBT001
    sources: list[str],
) -> None:
    options = [*(["--self-signed"] if with_tls else []), *(token_options(tmp_path) if with_tokens else [])]
    server = start("--head-seconds", "2", *options)
    attacked = target(server)
    before = open_files(server)
    first = half_of_it(attacked)
    with contextlib.ExitStack() as held:
        clients: list[socket.socket] = []
        for number in range(300):
            with contextlib.suppress(OSError):  # it is refused
                clients.append(held.enter_context(connect(attacked, first, source=sources[number % len(sources)])))
            if not number % 30:
                assert server.get("/healthz")[0] == 200
                assert open_files(server) <= before + TOTAL * FILES_OF_A_CONNECTION
        assert server.get("/readyz")[0] == 200, "which asks the database"
        assert all(closed(client) for client in clients), "there is a time for the first request"
        assert server.get("/readyz")[0] == 200
    settled = (open_files(server) for _ in range(5000) if server.get("/healthz")[0] == 200)
    assert any(now <= before + 12 for now in settled), "but for those that worker threads have opened"
    server.stop()


def test_a_flood_of_new_tls_keys_ends_only_its_connection(start: Start, tmp_path: Path) -> None:
    server = start("--self-signed")
    with opened(target(server), tmp_path / "secrets", "127.0.0.2") as client:
        records = logged_records(tmp_path / "secrets")
        flood = b"".join(records.key_update() for _ in range(4_000))
        with contextlib.suppress(OSError):  # it is closed meanwhile
            client.sendall(flood)
        assert closed(client)
    assert server.get("/readyz")[0] == 200


def test_connections_of_one_address_are_bounded_and_a_proxy_that_is_named_has_all(start: Start, tmp_path: Path) -> None:
    """Attacker and honest client come through one proxy, so only the header that it sets tells them apart."""
    server = start("--connections-per-address", "6", "--trusted-proxy", "127.0.0.1")
    port = free_port()
    folder = tmp_path / "nginx"
    folder.mkdir()
    configuration = folder / "nginx.conf"
    configuration.write_text(_NGINX.format(folder=folder, port=port, url=server.url))
    command = [program("nginx"), "-p", str(folder), "-c", str(configuration)]
    upload = (
        b"POST /api/v1/collections/a/b/publish HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        b"Content-Length: 100000\r\n\r\n--b\r\n"
    )
    with running(command, port=port, log=folder / "log"), contextlib.ExitStack() as held:
        proxy = Target(host="127.0.0.1", port=port)
        for _ in range(20):
            held.enter_context(connect(proxy, upload))
        with connect(proxy, b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n", source="127.0.0.1") as honest:
            assert honest.recv(1000).startswith(b"HTTP/1.1 200")
        direct = target(server)
        alone = [held.enter_context(connect(direct, upload)) for _ in range(7)]
        counts = (sum(_has_ended(client) for client in alone) for _ in range(5000) if server.get("/healthz")[0] == 200)
        assert next(ended for ended in counts if ended) == 1, "without a proxy six are what one address may have"


def _has_ended(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
