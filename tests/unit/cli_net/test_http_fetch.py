"""What a trust server, or somebody between, can answer to a request for a file."""

from __future__ import annotations

import gzip

import pytest

from tests.unit.cli_net.conftest import GUN, Remotes, Serve, answering, fetch, memory_of
from tests.unit.cli_net.hostile_server import Request, Wire, json_reply, megabytes_after, reply
from trustcli.client.tuf_remote import COMPRESSED_FROM
from trustdata.errors import (
    RemoteMisbehaved,
    RemoteRefused,
    RemoteUnreachable,
    TooLarge,
    TrustError,
)
from trustdata.gun import parse_gun
from trustdata.roles import ROOT

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


# --- what goes right


def test_fetch_gives_the_bytes_verbatim_over_one_connection(serve: Serve, remote_of: Remotes) -> None:
    server = serve(answering(reply(200, b"{\n }")))
    remote = remote_of(server)
    assert fetch(remote) == b"{\n }"
    assert remote.fetch(GUN, "3.targets%2Freleases.json", limit=10) == b"{\n }"
    assert server.connections == 1
    assert [r.target for r in server.requests] == [
        "/tuf/registry.example.com/team/app/metadata/timestamp.json",
        "/tuf/registry.example.com/team/app/metadata/3.targets%2Freleases.json",
    ]
    assert "authorization" not in server.requests[0].headers


def test_a_path_in_the_server_url_and_a_port_in_the_name_are_kept(serve: Serve, remote_of: Remotes) -> None:
    server = serve(answering(reply(200, b"x")))
    remote_of(f"{server.url}/trust/").fetch(parse_gun("[::1]:5000/app"), "1.root.json", limit=10)
    assert server.requests[0].target == "/trust/tuf/%5B::1%5D:5000/app/metadata/1.root.json"


@pytest.mark.parametrize("status", [404, 410])
def test_what_does_not_exist_is_none_and_the_connection_stays(serve: Serve, remote_of: Remotes, status: int) -> None:
    server = serve(answering(json_reply(status, {"code": "not-found"}), reply(200, b"later")))
    remote = remote_of(server)
    assert fetch(remote) is None
    assert fetch(remote) == b"later"
    assert server.connections == 1


def test_exactly_the_limit_is_allowed(serve: Serve, remote_of: Remotes) -> None:
    assert fetch(remote_of(serve(answering(reply(200, b"x" * 1000))))) == b"x" * 1000


def test_chunked_answers_are_put_together(serve: Serve, remote_of: Remotes) -> None:
    chunks = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    answer = reply(200, headers={"Transfer-Encoding": "chunked", "Content-Length": None}) + chunks
    server = serve(answering(answer))
    remote = remote_of(server)
    assert fetch(remote) == b"abcde"
    assert fetch(remote) == b"abcde"
    assert server.connections == 1


# --- sizes


def test_a_declared_length_above_the_limit_is_not_even_read(serve: Serve, remote_of: Remotes) -> None:
    server = serve(answering(reply(200, b"", {"Content-Length": "1001"})))
    with pytest.raises(TooLarge, match=r"timestamp\.json from") as caught:
        fetch(remote_of(server))
    assert caught.value.limit == 1000


@pytest.mark.parametrize("framing", ["chunked", "until-close"])
def test_an_endless_body_ends_at_the_limit(serve: Serve, remote_of: Remotes, framing: str) -> None:
    def script(_: Request, wire: Wire) -> None:
        chunked = framing == "chunked"
        headers = {"Transfer-Encoding": "chunked"} if chunked else {}
        wire.send(reply(200, headers={**headers, "Content-Length": None}))
        while not wire.stopping.is_set():
            wire.send((b"400\r\n" + b"x" * 1024 + b"\r\n") if chunked else b"x" * 1024)

    with pytest.raises(TooLarge):
        fetch(remote_of(serve(script)))


@pytest.mark.parametrize("size", [b"-1", b"-ffffff", b"+7fffffff", b"0x7fffffff", b" 7fffffff"])
def test_a_chunk_size_that_is_none_does_not_lift_the_limit(serve: Serve, remote_of: Remotes, size: bytes) -> None:
    server = serve(megabytes_after(size))
    with memory_of(8_000_000), pytest.raises((TooLarge, RemoteMisbehaved)):
        fetch(remote_of(server))


def test_a_connection_counts_the_bytes_of_each_exchange_anew(serve: Serve, remote_of: Remotes) -> None:
    server = serve(answering(reply(200, b"x" * 900_000)))
    remote = remote_of(server)
    for _ in range(5):
        assert fetch(remote, limit=900_000) == b"x" * 900_000
    assert server.connections == 1


def test_gzip_counts_decoded(serve: Serve, remote_of: Remotes) -> None:
    server = serve(answering(reply(200, gzip.compress(b"x" * 1000), {"Content-Encoding": "gzip"})))
    assert fetch(remote_of(server)) == b"x" * 1000
    server = serve(answering(reply(200, gzip.compress(b"x" * 1001), {"Content-Encoding": "gzip"})))
    with pytest.raises(TooLarge):
        fetch(remote_of(server))


def test_gzip_is_asked_for_where_it_pays(serve: Serve, remote_of: Remotes) -> None:
    server = serve(answering(reply(200, b"x")))
    remote = remote_of(server)
    for limit in (16_384, COMPRESSED_FROM - 1, COMPRESSED_FROM, 5_000_000):
        fetch(remote, limit=limit)
    asked = [request.headers["accept-encoding"] for request in server.requests]
    assert asked == ["identity", "identity", "gzip", "gzip"]


@pytest.mark.parametrize("layers", [1, 2])
def test_a_decompression_bomb_is_refused_without_the_memory_for_it(
    serve: Serve, remote_of: Remotes, layers: int
) -> None:
    bomb = gzip.compress(bytes(200_000_000), 9)
    for _ in range(layers - 1):
        bomb = gzip.compress(bomb, 9)
    server = serve(answering(reply(200, bomb, {"Content-Encoding": "gzip"})))
    remote = remote_of(server)
    if layers == 1:
        with memory_of(16_000_000), pytest.raises(TooLarge):
            fetch(remote, limit=5_000_000)
    else:  # one layer is unpacked, and no more
        assert fetch(remote, limit=5_000_000) == gzip.decompress(bomb)


@pytest.mark.parametrize("coding", ["gzip, gzip", "gzip, identity", "deflate"])
def test_other_codings_than_one_gzip_are_refused(serve: Serve, remote_of: Remotes, coding: str) -> None:
    server = serve(answering(reply(200, gzip.compress(b"x"), {"Content-Encoding": coding})))
    with pytest.raises(RemoteMisbehaved):
        fetch(remote_of(server), limit=5_000_000)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b"not gzip"),
        ("gzip", gzip.compress(b"cut", mtime=0)[:-3]),
        ("gzip", gzip.compress(b"a", mtime=0) + b"more"),
        ("br", b"x"),
    ],
)
def test_damaged_or_unknown_codings(serve: Serve, remote_of: Remotes, coding: str, body: bytes) -> None:
    with pytest.raises(RemoteMisbehaved):
        fetch(remote_of(serve(answering(reply(200, body, {"Content-Encoding": coding})))))


def test_a_huge_error_page_is_cut_not_read(serve: Serve, remote_of: Remotes) -> None:
    server = serve(answering(reply(404, b"x" * 200_000), reply(200, b"ok")))
    remote = remote_of(server)
    assert fetch(remote) is None
    assert fetch(remote) == b"ok"


# --- truncation and nonsense


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(reply(200, b"short", {"Content-Length": "6"}), id="content-length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", id="inside-a-chunk"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", id="no-last-chunk"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", id="chunk-size"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", id="two-lengths"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabcd", id="negative-length"),
        pytest.param(b"HTTP/1.1 two OK\r\n\r\n", id="status-word"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="not-http"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 5000, id="header-flood"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000, id="endless-header"),
        pytest.param(b"\x00" * 70_000, id="endless-status-line"),
        pytest.param(reply(204), id="no-content"),
        pytest.param(reply(206, b"part"), id="partial"),
        pytest.param(reply(304), id="not-modified"),
    ],
)
def test_nonsense_is_misbehaviour(serve: Serve, remote_of: Remotes, answer: bytes) -> None:
    def script(_: Request, wire: Wire) -> None:
        wire.send(answer)
        wire.close()

    with pytest.raises(RemoteMisbehaved):
        fetch(remote_of(serve(script)))


def test_foreign_text_in_a_message_is_escaped(serve: Serve, remote_of: Remotes) -> None:
    with pytest.raises(RemoteMisbehaved) as caught:
        fetch(remote_of(serve(answering(b"\x1b[2J HTTP\r\n"))))
    assert "\x1b" not in str(caught.value)


# --- statuses


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RemoteRefused),
        (401, RemoteRefused),
        (403, RemoteRefused),
        (418, RemoteRefused),
        (429, RemoteUnreachable),
        (500, RemoteUnreachable),
        (502, RemoteUnreachable),
        (503, RemoteUnreachable),
    ],
)
def test_statuses(serve: Serve, remote_of: Remotes, status: int, error: type[TrustError]) -> None:
    with pytest.raises(error) as caught:
        fetch(remote_of(serve(answering(json_reply(status, {"detail": "why not"})))))
    if status != 401:
        assert "why not" in str(caught.value)
    assert str(status) in str(caught.value)


def test_403_says_with_which_credentials(serve: Serve, remote_of: Remotes) -> None:
    with pytest.raises(RemoteRefused, match="asked without credentials"):
        fetch(remote_of(serve(answering(reply(403)))))


# --- redirects


def test_redirects_inside_the_origin_are_followed_three_times(serve: Serve, remote_of: Remotes) -> None:
    server = serve(answering(*[reply(302, headers={"Location": f"/r{n}"}) for n in range(3)], reply(200, b"end")))
    assert fetch(remote_of(server)) == b"end"
    assert [r.target for r in server.requests[1:]] == ["/r0", "/r1", "/r2"]


def test_a_redirect_loop_ends(serve: Serve, remote_of: Remotes) -> None:
    server = serve(answering(reply(307, headers={"Location": "/again"})))
    with pytest.raises(RemoteMisbehaved, match="redirects"):
        fetch(remote_of(server))
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    "location", ["//127.0.0.2/x", "http://127.0.0.1:1/x", "https://127.0.0.1/x", "file:///etc/passwd"]
)
def test_no_redirect_leads_elsewhere(serve: Serve, remote_of: Remotes, location: str) -> None:
    server = serve(answering(reply(301, headers={"Location": location}), reply(200, b"not this")))
    with pytest.raises(RemoteMisbehaved):
        fetch(remote_of(server))
    assert len(server.requests) == 1


def test_an_upload_is_never_redirected(serve: Serve, remote_of: Remotes) -> None:
    server = serve(answering(reply(307, headers={"Location": "/elsewhere"})))
    with pytest.raises(RemoteMisbehaved):
        remote_of(server).publish(GUN, {ROOT: b"{}"})
    assert len(server.requests) == 1
