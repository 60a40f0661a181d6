"""Servers that are not what they should be, and somebody between client and server."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.hostile_server import HostileServer, Request, Script, Wire, reply
from tests.support.images import BuiltImage
from tests.support.server_process import ServerProcess
from tests.support.stage import Put
from tests.support.trust_program import TrustUser

Serve = Callable[[Script], HostileServer]
Alter = Callable[[Request, bytes], bytes | None]
"""Gets a request and the true answer; gives what is sent instead, or None to hang up."""
OTHER_PIN = f"sha256:{'0' * 64}"


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts hostile servers; all are stopped at the end."""
    started: list[HostileServer] = []

    def start(script: Script) -> HostileServer:
        started.append(HostileServer(script))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A trust server of the test's own, which it may stop, restore and delete."""
    folder = tmp_path / "own-server"
    folder.mkdir()
    server = ServerProcess(folder / "data")
    yield server
    server.kill()


def begin(owner: TrustUser, gun: str, put: Put) -> BuiltImage:
    image = put("1.0")
    owner.run("init", gun, "--no-recovery-key")
    owner.run("sign", f"{gun}:1.0")
    return image


def always(answer: bytes) -> Script:
    return lambda _, wire: wire.send(answer)


def fetched(url: str, request: Request) -> bytes:
    """The true server's whole answer to a request, as it would stand on the wire."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        headers = {"Content-Type": request.headers["content-type"]} if "content-type" in request.headers else {}
        connection.request(request.method, request.target, body=request.body or None, headers=headers)
        answer = connection.getresponse()
        kind = answer.headers.get("Content-Type", "application/octet-stream")
        return reply(answer.status, answer.read(), {"Content-Type": kind})
    finally:
        connection.close()


def between(url: str, alter: Alter) -> Script:
    """Somebody between client and server."""

    def script(request: Request, wire: Wire) -> None:
        answer = alter(request, fetched(url, request))
        if answer is None:
            wire.close()
        else:
            wire.send(answer)

    return script
