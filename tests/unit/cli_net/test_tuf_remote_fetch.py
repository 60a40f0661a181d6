"""What a trust server, or somebody between, can answer to a request for a file."""

from __future__ import annotations

import gzip

import pytest

from tests.support.hostile_server import answering, json_reply, reply
from tests.support.network_users import GUN
from tests.unit.cli_net.conftest import Remotes, Serve, fetch, memory_of
from trustcli.client.tuf_remote import COMPRESSED_FROM
from trustcli.errors import (
    RemoteMisbehaved,
    RemoteRefused,
    RemoteUnreachable,
)
from trustdata.errors import (
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


def test_a_huge_error_page_is_cut_not_read(serve: Serve, remote_of: Remotes) -> None:
    server = serve(answering(reply(404, b"x" * 200_000), reply(200, b"ok")))
    remote = remote_of(server)
    assert fetch(remote) is None
    assert fetch(remote) == b"ok"


# --- truncation and nonsense


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
