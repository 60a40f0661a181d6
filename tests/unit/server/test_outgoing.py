"""What the server fetches from others: small documents, within bounds of time and size, from nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.hostile_server import HostileServer, Script, answering, json_reply, megabytes_after, reply
from tests.unit.server.guarded_site import ISSUED
from trustserver.process.outgoing import Unfetched, fetch, is_fetchable

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def web() -> Iterator[Callable[[Script], HostileServer]]:
    servers: list[HostileServer] = []

    def start(script: Script) -> HostileServer:
        servers.append(HostileServer(script=script))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def test_a_document_is_fetched(web: Callable[[Script], HostileServer]) -> None:
    server = web(answering(json_reply(200, {"a": 1})))
    assert json.loads(fetch(f"{server.url}/x?y=z", limit=100)) == {"a": 1}
    assert [request.target for request in server.requests] == ["/x?y=z"]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (answering(reply(302, headers={"Location": "http://127.0.0.1:1/"})), "status 302"),
        (answering(reply(404)), "status 404"),
        (answering(b"\0\1\2\3\r\n\r\n"), "does not speak HTTP"),
        (answering(reply(200, b"x" * 101)), "more than 100 bytes"),
        (megabytes_after(b"100000"), "more than 100 bytes"),
        (lambda _, wire: _half(wire), "ends too early"),
    ],
)
def test_answers_that_are_refused(web: Callable[[Script], HostileServer], script: Script, said: str) -> None:
    server = web(script)
    with pytest.raises(Unfetched, match=said):
        fetch(server.url, limit=100)


def test_an_answer_that_does_not_end(web: Callable[[Script], HostileServer]) -> None:
    """A byte now and then keeps a socket's own timeout from coming."""
    server = web(lambda request, wire: _drip(wire))
    with pytest.raises(Unfetched, match=r"within 0\.3 s"):
        fetch(server.url, limit=10_000_000, seconds=0.3)


def _half(wire: Any) -> None:
    wire.send(reply(200, b"x", {"Content-Length": "50"}))
    wire.close()


def _drip(wire: Any) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\n")
    while not wire.stopping.wait(0.01):
        wire.send(b"X: y\r\n" if wire.open else b"")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://issuer.example.com", True),
        ("https://issuer.example.com/path?query", True),
        ("http://127.0.0.1:8080/x", True),
        ("http://[::1]:8080/x", True),
        ("http://issuer.example.com", False),
        ("https://user@issuer.example.com", False),
        ("https://issuer.example.com/#part", False),
        ("https://issuer.example.com:port/", False),
        ("https:///path", False),
        ("https://issuer.example.com/a b", False),
        ("https://issuer.example.com/\n", False),
        ("file:///etc/passwd", False),
        ("", False),
    ],
)
def test_where_is_asked(url: str, *, expected: bool) -> None:
    assert is_fetchable(url) is expected


def test_authorities_of_an_issuer_that_others_may_change_do_not_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authorities = tmp_path / "ca.pem"
    authorities.write_bytes(ISSUED.pem)
    authorities.chmod(0o666)
    with pytest.raises(Unfetched, match="the file with the certificates of its authorities cannot be used"):
        fetch("https://127.0.0.1:1/", limit=1, authorities=authorities)
    assert f"{authorities}: has mode 666" in vars(caplog.records[0])["reason"]
    authorities.chmod(0o644)
    with pytest.raises(Unfetched, match="Connection refused"):
        fetch("https://127.0.0.1:1/", limit=1, authorities=authorities)
