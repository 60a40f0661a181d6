"""The front answers as the server behind it does: a hot request and the same one made cold give one answer."""

from __future__ import annotations

import gzip
import hashlib
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.journeys.published import GUN, begin
from tests.support.server_process import ServerProcess
from trustdata.roles import TARGETS
from trustserver.server.fast_path import hot_request

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

FILES = [
    "timestamp.json",
    "1.root.json",
    "2.root.json",
    "3.root.json",
    "1.snapshot.json",
    "1.targets.json",
    "2.targets.json",
    "x.json",
]
MISSING = {"2.root.json", "3.root.json", "x.json"}
"""Those of them that the server does not have: problems have no entity tag."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    process = ServerProcess(Path(tmp_path_factory.mktemp("same")) / "data")
    process.start()
    owner = begin(process)
    owner.tags = {f"v{number}": hashlib.sha256(str(number).encode()).hexdigest() for number in range(50)}
    status, body = process.publish(GUN, {TARGETS: owner.targets()})
    assert status == 200, body
    yield process
    process.kill()


Answer = tuple[bytes, dict[bytes, bytes], bytes]


def ask(server: ServerProcess, *requests: bytes) -> list[Answer]:
    """Answers to requests on one connection, each sent when the one before is answered."""
    host, port = server.url.rpartition("//")[2].split(":")
    answers = []
    with socket.create_connection((host, int(port)), timeout=30) as connection, connection.makefile("rb") as incoming:
        for request in requests:
            connection.sendall(request)
            status = incoming.readline()
            headers = {}
            while (line := incoming.readline()) != b"\r\n":
                name, _, value = line.partition(b":")
                headers[name.lower()] = value.strip()
            answers.append((status, headers, incoming.read(int(headers.get(b"content-length", b"0")))))
    return answers


def get(name: str, *headers: str) -> bytes:
    lines = [f"GET /tuf/{GUN}/metadata/{name} HTTP/1.1", "Host: 127.0.0.1", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def undated(answer: Answer) -> Answer:
    status, headers, body = answer
    return status, {name: value for name, value in headers.items() if name not in {b"date", b"server"}}, body


TAG = f'"{"ab" * 32}"'


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Accept-Encoding: gzip", "User-Agent: x"),
        ("Accept-Encoding: gzip;q=0",),
        ("Accept-Encoding: identity, gzip;q=0.5",),
        ("Accept-Encoding: gzip", "Accept-Encoding: identity"),
        ("Connection: keep-alive",),
        (f"If-None-Match: {TAG}",),
        (f"If-None-Match: {TAG}", "Accept-Encoding: gzip"),
    ],
)
@pytest.mark.parametrize("name", FILES)
def test_hot_or_not_the_answer_is_the_same(server: ServerProcess, name: str, headers: tuple[str, ...]) -> None:
    hot, cold = get(name, *headers), get(name, *headers, "X-Unknown: 1")
    assert hot_request(hot) is not None
    assert hot_request(cold) is None
    ask(server, cold)  # whatever can be in the view is there from now on
    first, second, third = ask(server, hot, hot, cold)
    [behind] = ask(server, cold)
    assert undated(first) == undated(second) == undated(third) == undated(behind)
    for _, answer_headers, _ in (first, behind):
        sent = datetime.strptime(answer_headers[b"date"].decode(), "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
        assert sent.year >= 2026


def test_a_compressed_form_that_was_made_is_given_by_the_front(server: ServerProcess) -> None:
    request = get("2.targets.json", "Accept-Encoding: gzip")
    ask(server, request)  # made by the server behind
    first, second = ask(server, request, request)
    assert first[1][b"content-encoding"] == second[1][b"content-encoding"] == b"gzip"
    assert gzip.decompress(first[2]) == ask(server, get("2.targets.json"))[0][2]


def test_reads_of_the_front_are_counted_with_the_others(server: ServerProcess) -> None:
    def counted() -> int:
        status, page = server.get("/metrics")
        assert status == 200
        found = re.search(rb'trust_server_reads_total\{answer="view"\} (\d+)', page)
        assert found is not None
        return int(found[1])

    before = counted()
    ask(server, *[get("timestamp.json")] * 3, get("timestamp.json", "X-Unknown: 1"))
    assert counted() == before + 4


@pytest.mark.parametrize("name", [name for name in FILES if name not in MISSING])
@pytest.mark.parametrize("beside", [(), ("Accept-Encoding: gzip",)])
def test_what_the_client_has_is_not_sent_by_either(server: ServerProcess, name: str, beside: tuple[str, ...]) -> None:
    [(_, headers, _)] = ask(server, get(name, *beside))
    condition = f"If-None-Match: {headers[b'etag'].decode()}"
    [hot] = ask(server, get(name, condition, *beside))
    [cold] = ask(server, get(name, condition, *beside, "X-Unknown: 1"))
    assert hot[0].split()[1] == b"304"
    assert undated(hot) == undated(cold)


def test_a_conditional_read_after_hot_ones_is_answered_on_the_same_connection(server: ServerProcess) -> None:
    [(_, headers, _)] = ask(server, get("timestamp.json"))
    condition = f"If-None-Match: {headers[b'etag'].decode()}"
    statuses = [
        status
        for status, _, _ in ask(
            server, get("timestamp.json"), get("timestamp.json", condition), get("timestamp.json"), b"BAD\r\n\r\n"
        )
    ]
    assert [status.split()[1] for status in statuses] == [b"200", b"304", b"200", b"400"]
