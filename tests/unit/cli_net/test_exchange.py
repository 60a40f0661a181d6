"""What one exchange promises, whoever asks: bounds of bytes and time, connections kept open, TLS, proxies."""

from __future__ import annotations

import gzip
import itertools
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.certificates import EXPIRED, Authority, make_authority
from tests.support.hostile_server import DripClock, Request, Wire, answering, megabytes_after, reply
from tests.support.loaded_modules import modules_loaded_by
from tests.support.network_users import DIGEST, FILE, connections_of, padded
from tests.unit.cli_net.conftest import Serve, Users, memory_of
from trustcli.errors import (
    RemoteMisbehaved,
    RemoteUnreachable,
    SettingsUnusable,
)
from trustcli.http.answer_head import FinalResponse
from trustcli.http.record import Record
from trustcli.http.time_budget import Timeouts
from trustcli.http.tls import CertificateAuthorities
from trustdata.errors import TooLarge

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


# --- sizes


def test_an_answer_that_was_interrupted_before_it_began_is_closed_without_an_error() -> None:
    """Python closes it, and prints on standard error what that raises."""
    FinalResponse.__new__(FinalResponse).close()


def test_exactly_the_limit_is_allowed(serve: Serve, user_of: Users) -> None:
    left: list[bytes] = []
    user = user_of(serve(lambda _, wire: wire.send(left.pop(0))))
    left += [reply(200, padded(user.limit)), reply(200, padded(user.limit + 1))]
    user.get()
    with pytest.raises(TooLarge) as caught:
        user.get()
    assert caught.value.limit == user.limit


def test_a_declared_length_above_the_limit_is_not_even_read(serve: Serve, user_of: Users) -> None:
    user = user_of(serve(answering(reply(200, b"", {"Content-Length": str(4 * 1024 * 1024 + 1)}))))
    with pytest.raises(TooLarge):
        user.get()


@pytest.mark.parametrize("framing", ["chunked", "until-close"])
def test_an_endless_body_ends_at_the_limit(serve: Serve, user_of: Users, framing: str) -> None:
    def script(_: Request, wire: Wire) -> None:
        headers = {"Transfer-Encoding": "chunked"} if framing == "chunked" else {}
        wire.send(reply(200, headers={**headers, "Content-Length": None}))
        piece = b"x" * 65536
        while not wire.stopping.is_set():
            wire.send(b"10000\r\n" + piece + b"\r\n" if headers else piece)

    with pytest.raises(TooLarge):
        user_of(serve(script)).get()


@pytest.mark.parametrize("size", [b"-1", b"-ffffff", b"+7fffffff", b"0x7fffffff", b" 7fffffff"])
def test_a_chunk_size_that_is_none_does_not_lift_the_limit(serve: Serve, user_of: Users, size: bytes) -> None:
    user = user_of(serve(megabytes_after(size)))
    with memory_of(8_000_000 + 6 * user.limit), pytest.raises((TooLarge, RemoteMisbehaved)):
        user.get()


EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"


@pytest.mark.parametrize("before", [EARLY_HINTS, EARLY_HINTS * 3, b"HTTP/1.1 100 Continue\r\n\r\n" + EARLY_HINTS])
def test_answers_that_only_announce_are_passed_over(serve: Serve, user_of: Users, before: bytes) -> None:
    user_of(serve(answering(before + reply(200, FILE)))).get()


def test_announcements_without_end_are_bounded(serve: Serve, user_of: Users) -> None:
    def script(_: Request, wire: Wire) -> None:
        while not wire.stopping.is_set():
            wire.send(EARLY_HINTS * 1000)

    with pytest.raises((TooLarge, RemoteMisbehaved)):
        user_of(serve(script)).get()


def test_a_connection_counts_the_bytes_of_each_exchange_anew(serve: Serve, user_of: Users) -> None:
    server = serve(answering(reply(200, FILE, {f"X-{n}": "y" * 60_000 for n in range(10)})))
    user = user_of(server)
    for _ in range(20):  # together more bytes than either may get in one
        assert user.get() == DIGEST
    assert connections_of(server.requests) == [1] * 20


def test_gzip_that_nobody_asked_for_is_unpacked_and_counts_unpacked(serve: Serve, user_of: Users) -> None:
    left: list[bytes] = []
    user = user_of(serve(lambda _, wire: wire.send(left.pop(0))))
    packed = {"Content-Encoding": "gzip"}
    left += [reply(200, gzip.compress(FILE), packed), reply(200, gzip.compress(padded(user.limit + 1)), packed)]
    assert user.get() == DIGEST
    with pytest.raises(TooLarge):
        user.get()


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b"not gzip"),
        ("gzip", gzip.compress(FILE, mtime=0)[:-3]),
        ("gzip", gzip.compress(FILE, mtime=0) + b"more"),
        ("br", FILE),
        ("deflate", FILE),
        ("gzip, gzip", gzip.compress(FILE)),
        ("gzip, identity", gzip.compress(FILE)),
    ],
)
def test_damaged_or_unknown_codings(serve: Serve, user_of: Users, coding: str, body: bytes) -> None:
    with pytest.raises(RemoteMisbehaved):
        user_of(serve(answering(reply(200, body, {"Content-Encoding": coding})))).get()


# --- truncation and nonsense


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(reply(200, FILE, {"Content-Length": str(len(FILE) + 1)}), id="content-length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc", id="inside-a-chunk"),
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
        pytest.param(reply(206, FILE), id="partial"),
        pytest.param(reply(304), id="not-modified"),
    ],
)
def test_nonsense_is_misbehaviour(serve: Serve, user_of: Users, answer: bytes) -> None:
    def script(_: Request, wire: Wire) -> None:
        wire.send(answer)
        wire.close()

    with pytest.raises(RemoteMisbehaved):
        user_of(serve(script)).get()


def test_foreign_text_in_a_message_is_escaped(serve: Serve, user_of: Users) -> None:
    with pytest.raises(RemoteMisbehaved) as caught:
        user_of(serve(answering(b"\x1b[2J HTTP\r\n"))).get()
    assert "\x1b" not in str(caught.value)


# --- time


@pytest.mark.parametrize("where", ["status", "header", "body", "chunk"])
def test_a_slow_drip_meets_the_deadline(serve: Serve, user_of: Users, where: str) -> None:
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
        user_of(serve(script), clock=clock).get()


def test_a_proxy_that_drips_its_answer_to_connect_meets_the_deadline(
    serve: Serve, user_of: Users, environ: dict[str, str]
) -> None:
    clock = DripClock()

    def script(_: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nX: ")
        clock.drip(wire, itertools.repeat(b"a"))

    environ["HTTPS_PROXY"] = serve(script).url
    with pytest.raises(RemoteUnreachable, match="no complete answer within 60 seconds"):
        user_of("https://far.example.com", clock=clock).get()


@pytest.mark.parametrize(
    ("timeouts", "reason"),
    [
        (Timeouts(connect=5, read=5, overall=0.2), "no complete answer within 0.2 seconds"),
        (Timeouts(connect=5, read=0.2, overall=5), "no answer in time"),
    ],
)
def test_the_reason_given_is_the_limit_that_was_reached(
    serve: Serve, user_of: Users, timeouts: Timeouts, reason: str
) -> None:
    def silent(_: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1")
        wire.stopping.wait()

    with pytest.raises(RemoteUnreachable, match=reason):
        user_of(serve(silent), timeouts=timeouts).get()


def test_the_time_of_the_whole_is_the_reason_in_a_handshake_too(user_of: Users) -> None:
    """The connection is made by the kernel; nobody answers on it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        user = user_of(
            f"https://127.0.0.1:{listening.getsockname()[1]}", timeouts=Timeouts(connect=5, read=5, overall=0.2)
        )
        with pytest.raises(RemoteUnreachable, match=r"no complete answer within 0.2 seconds"):
            user.get()


# --- keep-alive


def test_a_connection_closed_while_idle_is_opened_again(serve: Serve, user_of: Users) -> None:
    closed = threading.Event()

    def script(_: Request, wire: Wire) -> None:
        wire.send(reply(200, FILE))
        wire.sock.shutdown(socket.SHUT_RDWR)
        wire.close()
        closed.set()

    server = serve(script)
    user = user_of(server)
    for _ in range(3):
        assert user.get() == DIGEST
        assert closed.wait(5)
        closed.clear()
    assert connections_of(server.requests) == [1, 2, 3]


def test_a_get_whose_connection_breaks_is_sent_once_more(serve: Serve, user_of: Users) -> None:
    def script(_: Request, wire: Wire) -> None:
        if len(server.requests) == 2:
            wire.close()
        else:
            wire.send(reply(200, FILE))

    server = serve(script)
    user = user_of(server)
    assert user.get() == DIGEST
    assert user.get() == DIGEST
    assert connections_of(server.requests) == [1, 1, 2]


def test_a_get_is_sent_no_third_time(serve: Serve, user_of: Users) -> None:
    def script(_: Request, wire: Wire) -> None:
        if len(server.requests) == 1:
            wire.send(reply(200, FILE))
        else:
            wire.close()

    server = serve(script)
    user = user_of(server)
    assert user.get() == DIGEST
    with pytest.raises(RemoteUnreachable, match="closed the connection without an answer"):
        user.get()
    assert connections_of(server.requests) == [1, 1, 2]


def test_a_server_that_hangs_up_at_once_is_asked_once(serve: Serve, user_of: Users) -> None:
    server = serve(lambda _, wire: wire.close())
    with pytest.raises(RemoteUnreachable, match="closed the connection without an answer"):
        user_of(server).get()
    assert len(server.requests) == 1


def test_nobody_there(user_of: Users, serve: Serve) -> None:
    server = serve(answering(b""))
    server.stop()
    with pytest.raises(RemoteUnreachable, match="refused"):
        user_of(server).get()


# --- TLS


def test_a_private_ca_file_is_enough(serve: Serve, user_of: Users, authority: Authority, tmp_path: Path) -> None:
    server = serve(answering(reply(200, FILE)), tls=authority.server_context(tmp_path))
    record = Record()
    user = user_of(server, authorities=CertificateAuthorities({}, cacert=authority.file), observer=record)
    assert user.get() == DIGEST
    assert server.connections == 1
    assert b"a server" in (record.exchanges[0].certificate or b""), "an observer is told which certificate it was"
    assert record.exchanges[0].proxy is None


@pytest.mark.parametrize(
    "case",
    [
        ("host", ["127.0.0.1", "for elsewhere.example.com", "issued by CN=Test CA", "--cacert"]),
        ("expired", ["expired", "valid 2020-01-01 to 2021-01-01"]),
        ("issuer", ["issued by CN=Another CA", "--cacert"]),
    ],
)
def test_a_wrong_certificate_is_explained_and_never_leads_to_plain_http(
    serve: Serve, user_of: Users, authority: Authority, tmp_path: Path, case: tuple[str, list[str]]
) -> None:
    fault, words = case
    context = {
        "host": lambda: authority.server_context(tmp_path, host="elsewhere.example.com"),
        "expired": lambda: authority.server_context(tmp_path, until=EXPIRED),
        "issuer": lambda: make_authority(tmp_path, "Another CA").server_context(tmp_path),
    }[fault]()
    server = serve(answering(reply(200, FILE)), tls=context)
    with pytest.raises(RemoteUnreachable) as caught:
        user_of(server, authorities=CertificateAuthorities({}, cacert=authority.file)).get()
    assert caught.value.remote == server.url
    for word in words:
        assert word in caught.value.reason
    assert server.requests == []


def test_the_places_looked_at_are_all_named(serve: Serve, user_of: Users, authority: Authority, tmp_path: Path) -> None:
    server = serve(answering(reply(200, FILE)), tls=authority.server_context(tmp_path))
    with pytest.raises(RemoteUnreachable) as caught:
        user_of(server).get()
    for place in (
        f"tls/127.0.0.1:{server.port}/*.crt",
        f"/nonexistent/127.0.0.1:{server.port}/*.crt",
        "the system's store",
    ):
        assert place in caught.value.reason


# --- proxies


@pytest.mark.parametrize("host", ["far.example.com:8443", "[2001:db8::5]:8443"])
def test_https_asks_the_proxy_for_a_tunnel(
    *, serve: Serve, user_of: Users, environ: dict[str, str], authority: Authority, tmp_path: Path, host: str
) -> None:
    context = authority.server_context(tmp_path, host=host.removesuffix(":8443").strip("[]"))

    def script(request: Request, wire: Wire) -> None:
        assert request.method == "CONNECT"
        wire.send(b"HTTP/1.1 200 Established\r\n\r\n")
        with context.wrap_socket(wire.sock, server_side=True) as inner:
            through.append(inner.recv(65536))
            inner.sendall(reply(200, FILE))
        wire.close()

    through: list[bytes] = []
    proxy = serve(script)
    environ["HTTPS_PROXY"] = f"http://user:p%40ss@{proxy.netloc}"
    record = Record()
    user = user_of(f"https://{host}", authorities=CertificateAuthorities({}, cacert=authority.file), observer=record)
    assert user.get() == DIGEST
    (told,) = record.exchanges
    assert (told.proxy.port if told.proxy else 0) == proxy.port
    assert told.certificate is not None, "the server's, not the proxy's"
    assert b"a server" in told.certificate
    (asked,) = proxy.requests
    assert asked.target == asked.headers["host"] == host
    assert asked.headers["proxy-authorization"] == "Basic dXNlcjpwQHNz"
    assert b"Proxy-Authorization" not in through[0], "that is for the proxy alone"


@pytest.mark.parametrize(("status", "words"), [(407, "and wants to know who asks"), (403, ""), (502, "")])
def test_a_proxy_that_refuses_is_named(
    serve: Serve, user_of: Users, environ: dict[str, str], status: int, words: str
) -> None:
    proxy = serve(answering(reply(status, b"no")))
    environ["HTTPS_PROXY"] = proxy.url
    with pytest.raises(RemoteUnreachable) as caught:
        user_of("https://far.example.com").get()
    assert caught.value.reason == f"the proxy {proxy.netloc} refuses ({status}){' ' + words if words else ''}"
    assert len(proxy.requests) == 1


def test_loopback_is_never_proxied(serve: Serve, user_of: Users, environ: dict[str, str]) -> None:
    environ |= {"HTTP_PROXY": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1"}
    assert user_of(serve(answering(reply(200, FILE)))).get() == DIGEST


def test_a_proxy_that_is_none_is_a_setting_to_mend(user_of: Users, environ: dict[str, str]) -> None:
    environ["HTTPS_PROXY"] = "socks5://127.0.0.1:1"
    with pytest.raises(SettingsUnusable, match="HTTPS_PROXY"):
        user_of("https://far.example.com").get()


# --- start-up


def test_it_starts_without_the_heavy_libraries() -> None:
    loaded = modules_loaded_by("import trustcli.client.tuf_remote, trustcli.http.authenticated, trustcli.http.pool")
    assert "http.client" in loaded
    heavy = {"urllib3", "typer", "rich", "requests", "subprocess", "cryptography", "tuf", "urllib.request"}
    assert not heavy & loaded
