"""What servers and the proxies before them say when they refuse: read for its first line, whatever it is made of."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.hostile_server import answering, reply
from tests.unit.cli_net.conftest import Serve, Users
from trustcli.console.failure_table import row_for
from trustcli.errors import RemoteFailing, RemoteRefused
from trustcli.http.messages import Response
from trustcli.http.refusals import first_line, words

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

NGINX = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    b"<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n"
)


def answer(body: bytes, status: int = 502, **headers: str) -> Response:
    return Response(status=status, headers=tuple(headers.items()), body=body)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b"", ""),
        (b"\n\n  upstream connect error \n more", "upstream connect error"),
        (NGINX, "502 Bad Gateway"),
        (
            b"\xef\xbb\xbf<!DOCTYPE html><html><H1 class='x'>Request&nbsp;blocked &amp; logged</H1>",
            "Request blocked & logged",
        ),
        (b"<p>no heading</p><p>at all</p>", "no heading at all"),
        (b'{"errors": [{"code": "DENIED", "message": "pull rate limit"}]}', "pull rate limit"),
        (b'{"errors": [{"code": "DENIED"}]}', "DENIED"),
        (b'{"detail": "too large"}', "too large"),
        (b'{"error": "invalid_grant", "error_description": "expired"}', "expired"),
        (b'{"details": 5}', ""),
        (b"[1]", ""),
        (b"{not JSON\nat all", "{not JSON"),
        (b"a\tb\rc", "a b c"),
        (b"x" * 5000, "x" * 160 + "…"),
        ("ä".encode() * 9000, "ä" * 160 + "…"),
    ],
)
def test_the_first_line(body: bytes, line: str) -> None:
    assert first_line(answer(body)) == line


def test_a_line_that_holds_what_was_sent_is_left_out() -> None:
    assert first_line(answer(b"hunter2 is wrong"), ["", "hunter2"]) == ""
    assert first_line(answer(b"it is wrong"), ["", "hunter2"]) == "it is wrong"


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (
            502,
            NGINX,
            "502 Bad Gateway (nginx/1.22.1); usually a proxy before it gets no answer from what stands behind",
        ),
        (504, b"", "no reason given; usually a proxy before it waited in vain"),
        (
            413,
            b"<h1>Too Large</h1>",
            "Too Large (nginx/1.22.1); usually a proxy before it takes no upload of this size",
        ),
        (403, b"Forbidden by policy", "Forbidden by policy (nginx/1.22.1); usually a firewall or a proxy"),
        (403, b'{"errors": [{"message": "not you"}]}', "not you"),
        (403, b"", "no reason given"),
        (418, b"teapot", "teapot (nginx/1.22.1)"),
    ],
)
def test_who_says_what_and_what_it_means(status: int, body: bytes, sentence: str) -> None:
    found = words(answer(body, status, Server="nginx/1.22.1"))
    assert found.startswith(sentence)
    assert ("usually" in sentence) == ("usually" in found)


def test_a_server_s_name_that_is_none_is_not_repeated() -> None:
    assert "(" not in words(answer(b"no", Server="\x1b[2Jx"))


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_anything_is_read_to_one_short_line(body: bytes) -> None:
    line = first_line(answer(body))
    assert "\n" not in line
    assert len(line) <= 161


@pytest.mark.parametrize(
    "body", [b"<" * 65_536, b"<h1" + b" " * 65_000, b"<title>" * 9_000, json.dumps([[]] * 9000).encode()]
)
def test_hostile_pages_cost_little(body: bytes) -> None:
    """Patterns that looked at each character for each other one would take minutes."""
    assert len(first_line(answer(body))) <= 161


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_proxy_s_page_is_told(serve: Serve, user_of: Users, status: int) -> None:
    server = serve(answering(reply(status, NGINX, {"Server": "nginx/1.22.1"})))
    with pytest.raises(
        RemoteFailing, match=rf"fails: it answered {status}: 502 Bad Gateway \(nginx/1.22.1\)"
    ) as caught:
        user_of(server).get()
    assert caught.value.remote == server.url
    assert "tell the operator" in row_for(caught.value).advice(caught.value)


@pytest.mark.parametrize("status", [403, 405, 413])
def test_a_proxy_s_refusal_is_not_blamed_on_a_login(serve: Serve, user_of: Users, status: int) -> None:
    server = serve(answering(reply(status, b"<h1>Blocked by the firewall</h1>")))
    with pytest.raises(RemoteRefused, match="Blocked by the firewall; usually") as caught:
        user_of(server).get()
    assert (caught.value.status, caught.value.page) == (status, True)
    advice = row_for(caught.value).advice(caught.value)
    assert "proxy before it" in advice
    assert "docker login" not in advice
