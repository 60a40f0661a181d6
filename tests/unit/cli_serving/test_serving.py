"""The server of resident doors: requests as HTTP/1.1 has them, and nothing that two programs may read differently."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.served_door import connected, exchanged, parse_answers, serving, until_closed
from trustcli.errors import SettingsUnusable, UsageError
from trustcli.hooks.serving.listening import Listen, listen_option
from trustcli.hooks.serving.messages import Peer, Request, Response, plain
from trustcli.hooks.serving.operator_pages import OperatorPages
from trustcli.hooks.serving.request_head import RequestRefused, read_head
from trustcli.hooks.serving.server import Server

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

LAST = b"Host: a\r\nConnection: close\r\n\r\n"


class Counted:
    """A relay that writes `length` bytes, or fewer."""

    def __init__(self, length: int, written: int) -> None:
        self.length = length
        self.closed = 0
        self._written = written

    def write_to(self, peer: Peer) -> int:
        peer.send(b"r" * self._written)
        return self._written

    def close(self) -> None:
        self.closed += 1


RELAYS: list[Counted] = []


def answer(request: Request) -> Response:
    if request.path == "/echo":
        return Response(status=200, body=request.body.read(10))
    if request.path == "/twice":
        return Response(status=200, body=request.body.read(10) + b"," + request.body.read(10))
    if request.path == "/pieces":
        return Response(status=200, body=iter([b"one", b"two"]))
    if request.path == "/short":
        return Response(status=200, body=iter([b"one"]), length=9)
    if request.path == "/fails":
        raise ValueError("secret")
    if request.path.startswith("/relay/"):
        length, written = map(int, request.path.removeprefix("/relay/").split("/"))
        RELAYS.append(Counted(length, written))
        return Response(status=200, body=RELAYS[-1])
    return plain(200, f"{request.method} {request.target} {request.client} {request.first('x-a')}")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(answer) as running:
        yield running


def statuses(raw: bytes) -> list[int]:
    return [each.status for each in parse_answers(raw)]


def test_a_connection_is_kept_and_requests_are_answered_in_order(server: Server) -> None:
    with closing(http.client.HTTPConnection(*server.address)) as client:
        for number in range(3):
            client.request("GET", f"/{number}?q=%20", headers={"X-A": "b"})
            got = client.getresponse()
            assert (got.status, got.read()) == (200, f"GET /{number}?q=%20 127.0.0.1 b\n".encode())
            assert got.headers["Date"].endswith("GMT")
        client.request("HEAD", "/x")
        got = client.getresponse()
        assert (got.headers["Content-Length"], got.read()) == ("19", b"")
        client.request("POST", "/echo", body=b"0123456789")
        assert client.getresponse().read() == b"0123456789"


def test_requests_that_were_sent_together_are_answered_one_by_one(server: Server) -> None:
    first = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    second = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n"
    raw = exchanged(server, first + second + b"GET /z HTTP/1.1\r\n" + LAST)
    assert [each.body for each in parse_answers(raw)] == [b"abc", b"def", b"GET /z 127.0.0.1 \n"]


@pytest.mark.parametrize(
    "body", [b"Content-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"]
)
def test_a_body_that_is_read_again_takes_nothing_of_what_follows(server: Server, body: bytes) -> None:
    raw = exchanged(server, b"POST /twice HTTP/1.1\r\nHost: a\r\n" + body + b"GET /z HTTP/1.1\r\n" + LAST)
    assert [each.body for each in parse_answers(raw)] == [b"abc,", b"GET /z 127.0.0.1 \n"]


def test_a_body_is_read_as_it_comes(server: Server) -> None:
    with connected(server) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n", b"a", b"bc"):
            sock.sendall(piece)
        sock.sendall(b"dGET /z HTTP/1.1\r\n" + LAST)
        assert [each.body for each in parse_answers(until_closed(sock))] == [b"abcd", b"GET /z 127.0.0.1 \n"]


@pytest.mark.parametrize("options", [b"close", b"x, Close", b"x\r\nConnection: CLOSE ,y"])
@pytest.mark.parametrize(
    "body", [b"Content-Length: 1\r\n\r\na", b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", b"\r\n"]
)
def test_a_client_that_wants_no_more_gets_no_more(server: Server, options: bytes, body: bytes) -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: a\r\nConnection: " + options + b"\r\n"
    (got,) = parse_answers(exchanged(server, head + body + b"GET /next HTTP/1.1\r\n" + LAST))
    assert got.headers["connection"] == "close"


def test_a_body_in_pieces_is_sent_in_chunks_or_until_the_end(server: Server) -> None:
    raw = exchanged(server, b"GET /pieces HTTP/1.1\r\n" + LAST)
    assert b"chunked" in raw
    assert raw.endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    assert exchanged(server, b"GET /pieces HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\nonetwo")


@pytest.mark.parametrize("path", ["/short", "/relay/9/4"])
def test_a_body_that_ends_early_ends_the_connection(server: Server, path: str) -> None:
    raw = exchanged(server, f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\n".encode() + LAST)
    (got,) = parse_answers(raw)
    assert got.headers["content-length"] == "9"
    assert len(got.body) < 9


def test_a_relay_writes_itself_and_is_closed_once(server: Server) -> None:
    raw = exchanged(server, b"GET /relay/5/5 HTTP/1.1\r\nHost: a\r\n\r\nHEAD /relay/7/7 HTTP/1.1\r\n" + LAST)
    assert [each.headers["content-length"] for each in parse_answers(raw.replace(b"rrrrr", b"rrrrr", 1))] == ["5", "7"]
    assert raw.count(b"r" * 5) == 1
    assert [relay.closed for relay in RELAYS[-2:]] == [1, 1]


def test_who_waits_for_leave_gets_it_when_the_body_is_read(server: Server) -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
    with connected(server) as sock:
        sock.sendall(head)
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"ok")
        assert until_closed(sock).endswith(b"\r\n\r\nok")


def test_a_body_that_nobody_reads_costs_the_connection(server: Server) -> None:
    """What follows it cannot be told from it."""
    hidden = b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
    raw = exchanged(server, b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 34\r\n\r\n" + hidden)
    (got,) = parse_answers(raw)
    assert got.headers["connection"] == "close"
    assert b"hidden" not in raw


def test_a_body_over_the_handler_s_limit_is_not_kept(server: Server) -> None:
    big = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n01234567890"
    chunks = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n"
    assert statuses(exchanged(server, big)) == [413]
    assert statuses(exchanged(server, chunks)) == [413]


def test_an_error_of_the_handler_is_told_without_its_words(server: Server) -> None:
    raw = exchanged(server, b"GET /fails HTTP/1.1\r\nHost: a\r\n\r\n")
    assert statuses(raw) == [500]
    assert b"secret" not in raw


@pytest.mark.parametrize(
    "lines",
    [
        b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1",
        b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1",
        b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: +1",
        b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        b"GET /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"GET /x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked",
        b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b",
        b"GET /x HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c",
        b"GET /x HTTP/1.1\r\nHost: a\nX-A: b",
        b"GET /x HTTP/1.1\r\nHost: a\r\nX-A: b\rc",
        b"GET /x HTTP/1.1\r\nHost: a\r\nX-A: b\x00",
        b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length : 1",
        b"GET /x HTTP/1.1\r\nX-A: b",
        b"GET http://other/x HTTP/1.1\r\nHost: a",
        b"GET /x#y HTTP/1.1\r\nHost: a",
        b"GET /x",
        b"GET /x HTTP/1.1 \r\nHost: a",
        b"GET  /x HTTP/1.1\r\nHost: a",
        b"GET\t/x HTTP/1.1\r\nHost: a",
        b"G(T /x HTTP/1.1\r\nHost: a",
        b"GET /\xe9 HTTP/1.1\r\nHost: a",
        b"GET /x http/1.1\r\nHost: a",
        b"GET /x HTTP/1.1\r\nHost: a\r\nX-A",
        b"GET /x HTTP/1.1\r\nHost: a\r\n: b",
        b"GET /x HTTP/1.1\r\nHost: a\r\nX A: b",
        b"GET /x HTTP/1.1\r\nHost: a\r\nX-A: b\x7f",
        b"\x16\x03\x01",
    ],
)
def test_a_head_that_can_be_read_in_two_ways_is_refused(server: Server, lines: bytes) -> None:
    raw = exchanged(server, lines + b"\r\n\r\nGET /hidden HTTP/1.1\r\n" + LAST)
    (got,) = parse_answers(raw)
    assert got.status == 400
    assert got.headers["connection"] == "close"


@pytest.mark.parametrize("version", [b"0.9", b"1.2", b"2.0"])
def test_other_versions_are_not_spoken(server: Server, version: bytes) -> None:
    assert statuses(exchanged(server, b"GET /x HTTP/" + version + b"\r\nHost: a\r\n\r\n")) == [505]


def test_other_codings_are_not_spoken(server: Server) -> None:
    raw = exchanged(server, b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n")
    assert statuses(raw) == [501]


@pytest.mark.parametrize("path", [b"/pieces", b"/x", b"example.com:443"])
def test_nothing_is_passed_through_to_elsewhere(server: Server, path: bytes) -> None:
    """What follows a success is not HTTP for whoever is between: it would not be read as the next request."""
    raw = exchanged(server, b"CONNECT " + path + b" HTTP/1.1\r\nHost: a\r\n\r\nGET /hidden HTTP/1.1\r\n" + LAST)
    (got,) = parse_answers(raw)
    assert (got.status, got.headers["connection"]) == (501, "close")


def test_a_head_has_bounds(server: Server) -> None:
    many = b"".join(b"X-%d: a\r\n" % number for number in range(100))
    assert statuses(exchanged(server, b"GET /x HTTP/1.1\r\nHost: a\r\n" + many + b"\r\n")) == [431]
    assert statuses(exchanged(server, b"GET /" + b"x" * 40_000)) == [431]


def test_what_is_read_of_a_head() -> None:
    raw = b"POST /x?y=%20 HTTP/1.1\r\nHost: a\r\nX-Odd:\t \xe9 b\t \r\ncontent-length: 12\r\n\r\n"
    head = read_head(raw, fields=3)
    assert (head.method, head.target, head.version, head.length) == ("POST", "/x?y=%20", "1.1", 12)
    assert head.fields == [(b"host", b"a"), (b"x-odd", b"\xe9 b"), (b"content-length", b"12")]
    with pytest.raises(RequestRefused, match="more than 2 header"):
        read_head(raw, fields=2)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1:5443", Listen(host="127.0.0.1", port=5443)),
        ("[::1]:0", Listen(host="::1", port=0)),
        ("localhost:80", Listen(host="localhost", port=80)),
    ],
)
def test_an_address_to_listen_at(text: str, found: Listen) -> None:
    assert listen_option(text) == found
    assert str(found) == text


@pytest.mark.parametrize("text", ["", "5443", ":5443", "::1:5443", "a:70000", "a:", "a:b", "a:٣"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="must be HOST:PORT"):
        listen_option(text)


def test_an_address_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsUnusable, match=f"127.0.0.1:{port} cannot be used"):
            Server(listen=Listen(host="127.0.0.1", port=port), handler=answer)


@pytest.mark.parametrize("body", [b"whole", iter([b"pieces"])])
@pytest.mark.parametrize(
    "field", [(b"x", b"a\r\nb: c"), (b"x\r\nb: c", b"a"), (b"x y", b"a"), (b"", b"a"), (b"x", b"\x00")]
)
def test_a_header_field_that_would_be_two_is_not_sent(
    field: tuple[bytes, bytes], body: bytes | Iterator[bytes]
) -> None:
    with serving(lambda _: Response(status=200, headers=[field], body=body)) as running:
        assert exchanged(running, b"GET / HTTP/1.1\r\n" + LAST) == b""


def test_what_operators_ask() -> None:
    reasons = ["", "the policy is broken"]
    pages = OperatorPages(why_not_ready=reasons.pop, metrics=lambda: b"a 1\n")
    with serving(lambda request: pages.answer(request) or plain(404, "no")) as running:
        got = [
            parse_answers(exchanged(running, method + b" " + path + b" HTTP/1.1\r\n" + LAST))[0]
            for method, path in [
                (b"GET", b"/readyz"),
                (b"GET", b"/readyz"),
                (b"GET", b"/healthz"),
                (b"GET", b"/metrics"),
                (b"POST", b"/metrics"),
                (b"GET", b"/other"),
            ]
        ]
    assert [each.status for each in got] == [503, 200, 200, 200, 405, 404]
    assert [got[0].body, got[3].body] == [b"the policy is broken\n", b"a 1\n"]


def test_metrics_that_are_not_for_those_who_ask_are_no_page() -> None:
    pages = OperatorPages(why_not_ready=str, metrics=None)
    with serving(lambda request: pages.answer(request) or plain(404, "no")) as running:
        (got,) = parse_answers(exchanged(running, b"GET /metrics HTTP/1.1\r\n" + LAST))
    assert (got.status, got.body) == (404, b"no\n")
