"""Time, connections, TLS, credentials and proxies of the connection to a trust server."""

from __future__ import annotations

import itertools
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.unit.cli_net.certificates import EXPIRED, Authority, make_authority
from tests.unit.cli_net.conftest import GUN, Remotes, Serve, Stored, answering, fetch
from tests.unit.cli_net.hostile_server import DripClock, Request, Wire, json_reply, reply
from trustcli.config.docker_config import Credential
from trustcli.http.time_budget import Timeouts
from trustcli.http.tls import CertificateAuthorities
from trustdata.errors import (
    InvalidName,
    RemoteRefused,
    RemoteUnreachable,
    SettingsUnusable,
)
from trustdata.roles import ROOT, TARGETS

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


# --- time


@pytest.mark.parametrize("where", ["status", "header", "body", "chunk"])
def test_a_slow_drip_meets_the_deadline(serve: Serve, remote_of: Remotes, where: str) -> None:
    clock = DripClock()
    starts: Mapping[str, tuple[bytes, Iterator[bytes]]] = {
        "status": (b"", itertools.repeat(b"H")),
        "header": (b"HTTP/1.1 200 OK\r\nX: ", itertools.repeat(b"a")),
        "body": (reply(200, headers={"Content-Length": "900"}), itertools.repeat(b"b")),
        "chunk": (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            itertools.cycle([b"1", b"\r\n", b"c", b"\r\n"]),
        ),
    }

    def script(_: Request, wire: Wire) -> None:
        start, rest = starts[where]
        wire.send(start)
        clock.drip(wire, rest)

    with pytest.raises(RemoteUnreachable, match="no complete answer within 60 seconds"):
        fetch(remote_of(serve(script), clock=clock))


def test_silence_meets_the_read_timeout(serve: Serve, remote_of: Remotes) -> None:
    def script(_: Request, wire: Wire) -> None:
        wire.stopping.wait(10)

    with pytest.raises(RemoteUnreachable, match="no answer in time"):
        fetch(remote_of(serve(script), timeouts=Timeouts(read=0.05)))


# --- keep-alive


def test_a_connection_closed_while_idle_is_opened_again(serve: Serve, remote_of: Remotes) -> None:
    closed = threading.Event()

    def script(_: Request, wire: Wire) -> None:
        wire.send(reply(200, b"{}"))
        wire.sock.shutdown(socket.SHUT_RDWR)
        wire.close()
        closed.set()

    server = serve(script)
    remote = remote_of(server)
    for _ in range(3):
        assert fetch(remote) == b"{}"
        assert closed.wait(5)
    assert server.connections == 3


def test_an_upload_does_not_go_into_a_connection_closed_while_idle(serve: Serve, remote_of: Remotes) -> None:
    closed = threading.Event()

    def script(request: Request, wire: Wire) -> None:
        if request.method == "POST":
            wire.send(json_reply(200, {"gun": GUN, "revision": 1, "versions": {}}))
            return
        wire.send(reply(200, b"{}"))
        wire.sock.shutdown(socket.SHUT_RDWR)
        wire.close()
        closed.set()

    server = serve(script)
    remote = remote_of(server)
    fetch(remote)
    assert closed.wait(5)
    assert remote.publish(GUN, {TARGETS: b"{}"}).revision == 1
    assert [r.connection for r in server.requests] == [1, 2]


def test_a_get_whose_connection_breaks_is_sent_once_more(serve: Serve, remote_of: Remotes) -> None:
    def script(request: Request, wire: Wire) -> None:
        if len(server.requests) == 2:
            wire.close()
        else:
            wire.send(reply(200, b"{}"))

    server = serve(script)
    remote = remote_of(server)
    assert fetch(remote) == b"{}"
    assert fetch(remote) == b"{}"
    assert [r.connection for r in server.requests] == [1, 1, 2]


def test_a_server_that_always_hangs_up_is_given_up(serve: Serve, remote_of: Remotes) -> None:
    server = serve(lambda _, wire: wire.close())
    with pytest.raises(RemoteUnreachable, match="closed the connection without an answer"):
        fetch(remote_of(server))
    assert len(server.requests) == 1


def test_a_lost_reply_to_an_upload_is_reported_and_nothing_is_sent_twice(serve: Serve, remote_of: Remotes) -> None:
    def script(request: Request, wire: Wire) -> None:
        if request.method == "POST":
            wire.close()
        else:
            wire.send(reply(200, b"{}"))

    server = serve(script)
    remote = remote_of(server)
    fetch(remote)
    with pytest.raises(RemoteUnreachable):
        remote.publish(GUN, {TARGETS: b"{}"})
    assert [r.method for r in server.requests] == ["GET", "POST"]


def test_nobody_there(remote_of: Remotes, serve: Serve) -> None:
    server = serve(answering(b""))
    server.stop()
    with pytest.raises(RemoteUnreachable, match="refused"):
        fetch(remote_of(server))


# --- TLS


def test_a_private_ca_file_is_enough(serve: Serve, remote_of: Remotes, authority: Authority, tmp_path: Path) -> None:
    server = serve(answering(reply(200, b"{}")), tls=authority.server_context(tmp_path))
    authorities = CertificateAuthorities({}, cacert=authority.file)
    assert fetch(remote_of(server, authorities=authorities)) == b"{}"


@pytest.mark.parametrize(
    "case",
    [
        ("host", ["127.0.0.1", "for elsewhere.example.com", "issued by CN=Test CA", "--cacert"]),
        ("expired", ["expired", "valid 2020-01-01 to 2021-01-01"]),
        ("issuer", ["issued by CN=Another CA", "--cacert"]),
    ],
)
def test_a_wrong_certificate_is_explained(
    serve: Serve, remote_of: Remotes, authority: Authority, tmp_path: Path, case: tuple[str, list[str]]
) -> None:
    fault, words = case
    context = {
        "host": lambda: authority.server_context(tmp_path, host="elsewhere.example.com"),
        "expired": lambda: authority.server_context(tmp_path, until=EXPIRED),
        "issuer": lambda: make_authority(tmp_path, "Another CA").server_context(tmp_path),
    }[fault]()
    server = serve(answering(reply(200, b"{}")), tls=context)
    with pytest.raises(RemoteUnreachable) as caught:
        fetch(remote_of(server, authorities=CertificateAuthorities({}, cacert=authority.file)))
    assert caught.value.remote == server.url
    for word in words:
        assert word in caught.value.reason
    assert server.requests == []


def test_a_server_without_tls_is_named_so(serve: Serve, remote_of: Remotes) -> None:
    server = serve(answering(reply(200, b"{}")))
    with pytest.raises(RemoteUnreachable, match="does not speak TLS"):
        fetch(remote_of(f"https://{server.netloc}"))


def test_the_places_looked_at_are_all_named(
    serve: Serve, remote_of: Remotes, authority: Authority, tmp_path: Path, environ: dict[str, str]
) -> None:
    server = serve(answering(reply(200, b"{}")), tls=authority.server_context(tmp_path))
    with pytest.raises(RemoteUnreachable) as caught:
        fetch(remote_of(server))
    for place in (
        f"tls/127.0.0.1:{server.port}/ca.crt",
        f"/nonexistent/127.0.0.1:{server.port}/*.crt",
        "the system's store",
    ):
        assert place in caught.value.reason


# --- credentials


def test_a_basic_challenge_is_answered_once_and_remembered(serve: Serve, remote_of: Remotes) -> None:
    def script(request: Request, wire: Wire) -> None:
        known = request.headers.get("authorization") == "Basic YWxpY2U6c2VjcmV0"
        wire.send(reply(200, b"{}") if known else reply(401, headers={"WWW-Authenticate": 'Basic realm="x"'}))

    server = serve(script)
    stored = Stored(**{server.netloc: Credential(source="config", username="alice", password="secret")})
    remote = remote_of(server, credentials=stored)
    assert fetch(remote) == b"{}"
    assert fetch(remote) == b"{}"
    assert ["authorization" in r.headers for r in server.requests] == [False, True, True]


def test_wrong_credentials_are_named_but_never_shown(serve: Serve, remote_of: Remotes) -> None:
    server = serve(answering(reply(401, headers={"WWW-Authenticate": "Basic"})))
    stored = Stored(**{server.netloc: Credential(source="config.json", username="alice", password="hunter2")})
    with pytest.raises(RemoteRefused, match=r"asked as alice \(config.json\)") as caught:
        fetch(remote_of(server, credentials=stored))
    assert len(server.requests) == 2
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value)


def test_a_token_is_fetched_for_an_upload(serve: Serve, remote_of: Remotes) -> None:
    def script(request: Request, wire: Wire) -> None:
        challenge = f'Bearer realm="{server.url}/token",service="trust",scope="repository:app:push"'
        if request.target.startswith("/token"):
            wire.send(json_reply(200, {"token": "t0k"}))
        elif request.headers.get("authorization") == "Bearer t0k":
            wire.send(json_reply(200, {"gun": GUN, "format": "tuf-1.0", "revision": 7, "versions": {"root": 1}}))
        else:
            wire.send(reply(401, headers={"WWW-Authenticate": challenge}))

    server = serve(script)
    assert remote_of(server).publish(GUN, {ROOT: b"{}"}).revision == 7
    assert [r.target.partition("?")[0] for r in server.requests] == [
        f"/api/v1/collections/{GUN}/publish",
        "/token",
        f"/api/v1/collections/{GUN}/publish",
    ]
    assert "service=trust" in server.requests[1].target


# --- proxies


def test_plain_http_goes_through_the_proxy_whole(serve: Serve, remote_of: Remotes, environ: dict[str, str]) -> None:
    proxy = serve(answering(reply(200, b"{}")))
    environ["http_proxy"] = f"http://user:p%40ss@{proxy.netloc}"
    assert fetch(remote_of("http://trust.example.com")) == b"{}"
    assert proxy.requests[0].target.startswith("http://trust.example.com/tuf/")
    assert proxy.requests[0].headers["host"] == "trust.example.com"
    assert proxy.requests[0].headers["proxy-authorization"] == "Basic dXNlcjpwQHNz"


def test_https_asks_the_proxy_for_a_tunnel(
    serve: Serve, remote_of: Remotes, environ: dict[str, str], authority: Authority, tmp_path: Path
) -> None:
    context = authority.server_context(tmp_path, host="trust.example.com")

    def script(request: Request, wire: Wire) -> None:
        assert request.method == "CONNECT"
        wire.send(b"HTTP/1.1 200 Established\r\n\r\n")
        with context.wrap_socket(wire.sock, server_side=True) as inner:
            inner.recv(65536)
            inner.sendall(reply(200, b"through"))
        wire.close()

    proxy = serve(script)
    environ["HTTPS_PROXY"] = proxy.url
    remote = remote_of("https://trust.example.com", authorities=CertificateAuthorities({}, cacert=authority.file))
    assert fetch(remote) == b"through"
    assert proxy.requests[0].target == "trust.example.com:443"


def test_a_proxy_that_refuses_is_named(serve: Serve, remote_of: Remotes, environ: dict[str, str]) -> None:
    proxy = serve(answering(reply(407)))
    environ["HTTPS_PROXY"] = proxy.url
    with pytest.raises(RemoteUnreachable, match=rf"the proxy {proxy.netloc} refuses \(407\) and wants"):
        fetch(remote_of("https://trust.example.com"))


def test_loopback_is_never_proxied(serve: Serve, remote_of: Remotes, environ: dict[str, str]) -> None:
    environ["HTTP_PROXY"] = "http://127.0.0.1:1"
    assert fetch(remote_of(serve(answering(reply(200, b"{}"))))) == b"{}"


def test_a_proxy_that_is_none_is_a_setting_to_mend(remote_of: Remotes, environ: dict[str, str]) -> None:
    environ["HTTPS_PROXY"] = "socks5://127.0.0.1:1"
    with pytest.raises(SettingsUnusable, match="HTTPS_PROXY"):
        fetch(remote_of("https://trust.example.com"))


# --- the rest


@pytest.mark.parametrize(
    "url",
    [
        "trust.example.com",
        "ftp://x",
        "https://",
        "https://u:p@x/",
        "https://x/?q",
        "https://x/#f",
        "https://x:99999",
        "http://a b",
    ],
)
def test_addresses_that_are_none(remote_of: Remotes, url: str) -> None:
    with pytest.raises(InvalidName) as caught:
        remote_of(url)
    assert "u:p" not in str(caught.value)


def test_it_starts_without_the_heavy_libraries() -> None:
    code = (
        "import sys, trustcli.client.tuf_remote, trustcli.http.authenticated;"
        "heavy = {'urllib3', 'typer', 'rich', 'requests', 'subprocess', 'cryptography', 'tuf', 'urllib.request'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.replace("'", '"')) == []
