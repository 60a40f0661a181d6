"""What clients may cost: slow ones, many of them, those that stay; and the end of a server in order."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from keys.record import replace
from tests.support.certificates import Authority, make_authority
from tests.support.served_door import SECONDS, connected, exchanged, parse_answers, serving, until_closed
from trustcli.errors import SettingsUnusable
from trustcli.hooks.serving import connection, peer
from trustcli.hooks.serving.certificate import ReloadedCertificate
from trustcli.hooks.serving.limits import Limits
from trustcli.hooks.serving.listening import Listen
from trustcli.hooks.serving.messages import Peer, Request, Response, plain
from trustcli.hooks.serving.server import Server

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

HURRY = Limits(head_seconds=0.1, idle=0.1, body_seconds=0.1, stall=0.1, handshake=0.1)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def ok(request: Request) -> Response:
    return plain(200, str(len(request.body.read(100))))


def test_who_says_nothing_is_not_waited_for() -> None:
    with serving(ok, limits=HURRY) as server, connected(server) as sock:
        assert until_closed(sock) == b""


def test_half_a_head_is_not_waited_for() -> None:
    with serving(ok, limits=replace(HURRY, idle=SECONDS)) as server, connected(server) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHo")
        assert parse_answers(until_closed(sock))[0].status == 408


def test_a_handshake_where_no_tls_is_spoken_is_answered_at_once() -> None:
    """Skopeo and podman ask every registry like this first, and wait."""
    with serving(ok) as server, connected(server) as sock:
        sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert parse_answers(until_closed(sock))[0].status == 400


def test_half_a_body_is_not_waited_for() -> None:
    with serving(ok, limits=replace(HURRY, idle=SECONDS)) as server, connected(server) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
        assert until_closed(sock) == b""


def whole(request: Request) -> Response:
    return plain(200, str(len(request.body.read(2_000_000))))


def test_a_body_that_trickles_is_not_waited_for() -> None:
    """Each byte comes in time, and all of them together would take a quarter of an hour."""
    slow = replace(HURRY, idle=SECONDS, body_seconds=SECONDS, stall=SECONDS, body_grace=0.1, slowest_body=10_000_000)
    with serving(whole, limits=slow) as server, connected(server) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
        assert until_closed(sock) == b""


def test_slow_takers_of_large_answers_are_ended_for_others() -> None:
    large = b"x" * 32_000_000

    def answer(request: Request) -> Response:
        return Response(status=200, body=large if request.path == "/large" else b"small")

    limits = replace(HURRY, idle=SECONDS, head_seconds=SECONDS, stall=SECONDS, held=64_000_000, patience=0.0)
    with serving(answer, limits=limits) as server, ExitStack() as stack:
        slow = [stack.enter_context(connected(server)) for _ in range(5)]
        for sock in slow:
            sock.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert sock.recv(1), "it is being answered"
        with connected(server) as sock:
            sock.sendall(b"GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert until_closed(sock).endswith(b"small")
        assert [len(until_closed(sock)) >= len(large) for sock in slow[:3]] == [False] * 3
        assert [len(until_closed(sock)) >= len(large) for sock in slow[3:]] == [True] * 2


def test_half_a_handshake_is_not_waited_for(tmp_path: Path) -> None:
    context = make_authority(tmp_path).server_context(tmp_path)
    with serving(ok, limits=HURRY, tls=lambda: context) as server, connected(server) as sock:
        sock.sendall(b"\x16\x03\x01")
        assert until_closed(sock) == b""


def test_who_takes_nothing_is_cut_off() -> None:
    written = threading.Event()

    def endless(_: Request) -> Response:
        def pieces() -> Iterator[bytes]:
            try:
                while True:
                    yield b"x" * 1_000_000
            finally:
                written.set()

        return Response(status=200, body=pieces())

    with (
        serving(endless, limits=replace(HURRY, idle=SECONDS, head_seconds=SECONDS)) as server,
        connected(server) as sock,
    ):
        sock.sendall(GET)
        assert written.wait(SECONDS)


def test_how_long_an_answer_is_made_is_not_how_slowly_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A push of an hour, or a search of half a minute: the answer arrives, be it ever so short."""
    later = [0.0]
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + later[0], time=time.time)
    monkeypatch.setattr(peer, "time", clock)
    monkeypatch.setattr(connection, "time", clock)

    def slow(request: Request) -> Response:
        body = request.body.read(100)
        later[0] += 3600.0
        return Response(status=201, body=iter([body, body]), length=4)

    sent = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab"
    with serving(slow) as server:
        (answer,) = parse_answers(exchanged(server, sent))
    assert (answer.status, answer.body) == (201, b"abab")


def test_one_more_than_there_may_be_is_told_so() -> None:
    with (
        serving(ok, limits=Limits(connections=1, patience=SECONDS)) as server,
        closing(http.client.HTTPConnection(*server.address)) as one,
    ):
        one.request("GET", "/")
        assert one.getresponse().read() == b"0\n"
        (got,) = parse_answers(exchanged(server, GET))
        assert (got.status, got.headers["connection"], server.turned_away) == (503, "close", 1)
        one.request("GET", "/")
        assert one.getresponse().status == 200


def test_one_address_has_a_share() -> None:
    with serving(ok, limits=Limits(per_address=1, patience=SECONDS)) as server, connected(server) as first:
        first.sendall(GET)
        assert first.recv(1000)
        assert parse_answers(exchanged(server, GET))[0].status == 503
        first.close()


def test_addresses_of_one_network_share_a_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has an IPv6 address has 2^64 of them."""
    monkeypatch.setattr("trustcli.hooks.serving.server.address_group", lambda address: address.rpartition(".")[0])
    with serving(ok, limits=Limits(per_address=1, patience=SECONDS)) as server, connected(server) as first:
        first.sendall(GET)
        assert first.recv(1000)
        with closing(socket.create_connection(server.address, SECONDS, ("127.0.0.2", 0))) as neighbour:
            neighbour.sendall(GET)
            assert parse_answers(until_closed(neighbour))[0].status == 503


HALF = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"


def until_they_wait(server: Server, count: int, *, in_body: bool = False) -> None:
    """Return when so many connections wait for their clients."""
    end = time.monotonic() + SECONDS
    waiting: list[bool] = []
    while waiting != [in_body] * count:
        assert time.monotonic() < end
        waiting = [found[0] for held in list(server._open.values()) if (found := held.waiting) is not None]


@pytest.mark.parametrize("limit", ["connections", "per_address"])
@pytest.mark.parametrize("sent", [b"", b"GET / HT", HALF])
def test_who_says_nothing_keeps_nobody_out(limit: str, sent: bytes) -> None:
    """Or one Pod that connects as often as it may stops every Pod of its cluster."""
    with ExitStack() as later:
        server = later.enter_context(serving(ok, limits=replace(Limits(patience=0), **{limit: 2})))
        silent = [later.enter_context(connected(server)) for _ in range(2)]
        for sock in silent:
            sock.sendall(sent)
        until_they_wait(server, 2, in_body=sent == HALF)
        (got,) = parse_answers(exchanged(server, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))
        assert (got.status, server.turned_away) == (200, 0)
        assert until_closed(silent[0]) == b"", "who was silent for longest"
        silent[1].settimeout(0)
        with pytest.raises(BlockingIOError):
            silent[1].recv(1)


def test_who_is_answered_keeps_the_place(tmp_path: Path) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def slow(_: Request) -> Response:
        begun.set()
        may_end.wait(SECONDS)
        return plain(200, "done")

    with serving(slow, limits=Limits(connections=1, patience=0)) as server, connected(server) as busy:
        busy.sendall(GET)
        assert begun.wait(SECONDS)
        assert parse_answers(exchanged(server, GET))[0].status == 503
        may_end.set()
        assert busy.recv(1000).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("in_handshake", [True, False])
def test_who_says_nothing_in_tls_is_ended_at_once(tmp_path: Path, *, in_handshake: bool) -> None:
    authority = make_authority(tmp_path)
    context = authority.server_context(tmp_path)
    limits = Limits(connections=1, patience=0, handshake=10 * SECONDS, idle=10 * SECONDS)
    with ExitStack() as later:
        server = later.enter_context(serving(ok, limits=limits, tls=lambda: context))
        silent = later.enter_context(connected(server))
        if not in_handshake:
            client = ssl.create_default_context(cafile=str(authority.file))
            silent = later.enter_context(client.wrap_socket(silent, server_hostname="127.0.0.1"))
            silent.sendall(GET)
            assert silent.recv(1000).startswith(b"HTTP/1.1 200")
        until_they_wait(server, 1)
        assert name_served(server, authority)
        with contextlib.suppress(ssl.SSLError):
            assert until_closed(silent) == b""


def test_in_tls_one_more_is_closed_at_once(tmp_path: Path) -> None:
    context = make_authority(tmp_path).server_context(tmp_path)
    with serving(ok, limits=Limits(connections=0), tls=lambda: context) as server:
        assert exchanged(server, b"") == b""
        assert server.turned_away == 1


def test_what_has_begun_is_finished_at_the_end() -> None:
    begun, may_end = threading.Event(), threading.Event()

    def slow(_: Request) -> Response:
        begun.set()
        may_end.wait(SECONDS)
        return plain(200, "done")

    with ExitStack() as later:
        with serving(slow, limits=Limits(stopping=SECONDS)) as server:
            idle, busy = (later.enter_context(connected(server)) for _ in range(2))
            busy.sendall(GET)
            assert begun.wait(SECONDS)
            server.stop()
            server.stop()
            assert until_closed(idle) == b""
            may_end.set()
        (got,) = parse_answers(until_closed(busy))
    assert (got.body, got.headers["connection"]) == (b"done\n", "close")


def test_the_end_has_a_bound() -> None:
    begun, never = threading.Event(), threading.Event()

    def hangs(_: Request) -> Response:
        begun.set()
        never.wait(SECONDS)
        return plain(200, "late")

    with ExitStack() as later:
        with serving(hangs, limits=Limits(stopping=0.1)) as server:
            busy = later.enter_context(connected(server))
            busy.sendall(GET)
            assert begun.wait(SECONDS)
        assert until_closed(busy) == b""
        never.set()


def files(authority: Authority, folder: Path, host: str) -> tuple[Path, Path]:
    authority.server_context(folder, host=host)
    (made,) = folder.glob(f"server-{host}-*.pem")
    certificate, key = folder / "tls.crt", folder / "tls.key"
    for target in (certificate, key):
        target.unlink(missing_ok=True)
        target.write_bytes(made.read_bytes())
    return certificate, key


def name_served(server: Server, authority: Authority) -> str:
    context = ssl.create_default_context(cafile=str(authority.file))
    context.check_hostname = False
    with connected(server) as sock, context.wrap_socket(sock) as tls:
        certificate = tls.getpeercert()
    assert certificate is not None
    return str(certificate["subjectAltName"][0][1])


def test_a_renewed_certificate_is_served_without_a_restart(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    certificate, key = files(authority, tmp_path, "one.example")
    tls = ReloadedCertificate(certificate, key, at=lambda: NOW)
    with serving(ok, tls=tls) as server:
        assert name_served(server, authority) == "one.example"
        files(authority, tmp_path, "two.example")
        assert name_served(server, authority) == "two.example"
        certificate.write_text("half of it")
        assert name_served(server, authority) == "two.example"
        key.unlink()
        assert name_served(server, authority) == "two.example"


class Noted:
    """A relay that notes whether it may write to the socket as it is."""

    length = 300_000

    def __init__(self) -> None:
        self.plain: list[bool] = []

    def write_to(self, peer: Peer) -> int:
        self.plain.append(peer.plain_socket() is not None)
        peer.send(b"x" * self.length)
        return self.length

    def close(self) -> None:
        pass


def test_a_relay_over_tls_cannot_go_around_it(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    context = authority.server_context(tmp_path)
    relay = Noted()
    trusting = ssl.create_default_context(cafile=str(authority.file))

    def got(client: http.client.HTTPConnection) -> bytes:
        with closing(client):
            client.request("GET", "/")
            return client.getresponse().read()

    with serving(lambda _: Response(status=200, body=relay), tls=lambda: context) as server:
        assert got(http.client.HTTPSConnection(*server.address, context=trusting)) == b"x" * relay.length
    with serving(lambda _: Response(status=200, body=relay)) as server:
        assert got(http.client.HTTPConnection(*server.address)) == b"x" * relay.length
    assert relay.plain == [False, True]


def test_a_certificate_that_cannot_be_used_is_named_at_the_start(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    certificate, key = files(authority, tmp_path, "one.example")
    key.write_text("no key")
    with pytest.raises(SettingsUnusable, match=r"tls.crt cannot be used: is no certificate in PEM"):
        ReloadedCertificate(certificate, key, at=lambda: NOW)
    with pytest.raises(SettingsUnusable, match=r"missing cannot be used: cannot be read: No such file"):
        ReloadedCertificate(tmp_path / "missing", key, at=lambda: NOW)
    with pytest.raises(SettingsUnusable, match=r"gone cannot be used: cannot be read: No such file"):
        ReloadedCertificate(certificate, tmp_path / "gone", at=lambda: NOW)
    other = tmp_path / "other"
    other.mkdir()
    files(authority, other, "one.example")
    with pytest.raises(SettingsUnusable, match=r"tls.crt cannot be used: is a certificate of another key than that in"):
        ReloadedCertificate(certificate, other / key.name, at=lambda: NOW)


def test_an_address_that_cannot_be_listened_at_is_told_once_and_in_words() -> None:
    with serving(ok) as server:
        taken = Listen(host="127.0.0.1", port=server.address[1])
        with pytest.raises(SettingsUnusable) as caught:
            Server(listen=taken, handler=ok)
    said = "cannot be listened at: Address already in use: another program listens there"
    assert (caught.value.place, caught.value.reason) == (str(taken), said)
