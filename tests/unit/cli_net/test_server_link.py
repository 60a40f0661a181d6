"""What only a trust server's client does: uploads, which are never sent twice, and the address that is typed."""

from __future__ import annotations

import socket
import threading

import pytest

from tests.support.hostile_server import Request, Wire, answering, json_reply, reply
from tests.support.network_users import GUN
from tests.unit.cli_net.conftest import Remotes, Serve, fetch
from trustcli.console.failure_table import row_for
from trustcli.errors import RemoteMisbehaved, RemoteRefused, RemoteUnreachable
from trustdata.errors import InvalidName
from trustdata.roles import ROOT, TARGETS

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


# --- uploads


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


# --- the address


def test_a_server_without_tls_is_named_so(serve: Serve, remote_of: Remotes) -> None:
    server = serve(answering(reply(200, b"{}")))
    words = f"does not speak TLS; if it serves plain HTTP, its address is http://{server.netloc}$"
    with pytest.raises(RemoteUnreachable, match=words):
        fetch(remote_of(f"https://{server.netloc}"))


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (b"", RemoteUnreachable, "without an answer; if it expects TLS, its address is https://"),
        (b"\x15\x03\x01\x00\x02\x02\x46", RemoteMisbehaved, "it speaks TLS at this port; its address is https://"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", RemoteMisbehaved, "no HTTP answer: SSH-2.0"),
    ],
    ids=["silence", "an-alert", "ssh"],
)
def test_a_server_with_tls_is_named_so(
    *, serve: Serve, remote_of: Remotes, answer: bytes, kind: type[Exception], words: str
) -> None:
    def script(_: Request, wire: Wire) -> None:
        wire.send(answer)
        wire.close()

    server = serve(script)
    with pytest.raises(kind, match=words) as caught:
        fetch(remote_of(server))
    assert f"https://{server.netloc}" in str(caught.value) or "SSH" in words


@pytest.mark.parametrize(
    ("said", "helps"),
    [
        (b"<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>", True),
        (b"Client sent an HTTP request to an HTTPS server.\n", True),
        (b"400 Bad Request\n", False),
    ],
    ids=["nginx", "go", "other"],
)
def test_what_servers_with_tls_say_of_plain_http(*, serve: Serve, remote_of: Remotes, said: bytes, helps: bool) -> None:
    server = serve(answering(reply(400, said)))
    with pytest.raises(RemoteRefused) as caught:
        fetch(remote_of(server))
    advice = row_for(caught.value).advice(caught.value)
    assert advice.startswith(f"write https:// in place of http://: https://{server.netloc}") is helps
    assert ("operator" in advice) is (not helps)


def test_plain_http_goes_through_the_proxy_whole(serve: Serve, remote_of: Remotes, environ: dict[str, str]) -> None:
    proxy = serve(answering(reply(200, b"{}")))
    environ["http_proxy"] = f"http://user:p%40ss@{proxy.netloc}"
    assert fetch(remote_of("http://trust.example.com")) == b"{}"
    assert proxy.requests[0].target.startswith("http://trust.example.com/tuf/")
    assert proxy.requests[0].headers["host"] == "trust.example.com"
    assert proxy.requests[0].headers["proxy-authorization"] == "Basic dXNlcjpwQHNz"


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
