"""Documents made to fill the memory of who reads them: refused by what is counted in their bytes, on both sides.

Whoever answers in the place of a server, registry or token server can send them to `trust`; whoever may reach a
server's API can upload them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.journeys.hostile import Serve, between
from tests.support.attackers import Target, uploads
from tests.support.hostile_server import Request, reply
from tests.support.images import BuiltImage
from tests.support.server_process import ServerProcess
from tests.support.stage import People
from tests.support.trust_program import TrustUser
from trustcli.client import measured_remote
from trustdata.limits import notary_limits, tuf_limits

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

LISTS = b"[" + b"[]," * 10_000_000 + b"[]]"


def _within(role: str) -> bytes:
    """As many lists as the limit of bytes lets through."""
    return LISTS[: tuf_limits(role).size - 2].rpartition(b",")[0] + b"]"


@pytest.mark.parametrize(("name", "role"), [("/timestamp.json", "timestamp"), ("/1.root.json", "root")])
@pytest.mark.parametrize("command", ["verify", "inspect", "explain"])
def test_a_file_of_lists_instead_of_metadata(
    *,
    owner: TrustUser,
    people: People,
    gun: str,
    begun: BuiltImage,
    serve: Serve,
    name: str,
    role: str,
    command: str,
) -> None:
    """In the place of a file whose hash and size no other file promises."""

    def alter(request: Request, answer: bytes) -> bytes:
        return reply(200, _within(role)) if request.target.endswith(name) else answer

    server = serve(between(owner.environ["TRUST_SERVER"], alter))
    reader = people("reader")
    reader.knows(gun, owner.pin_of(gun))
    what = gun if command == "inspect" else f"{gun}:1.0"
    failed = reader.run("--server", server.url, command, what, expect=4)
    assert f"{role} metadata holds more than {tuf_limits(role).values} values" in failed.stdout + failed.stderr
    assert command == "explain" or begun.digest not in failed.stdout, "explain shows what the registry has"


def test_roots_without_end(owner: TrustUser, people: People, gun: str, begun: BuiltImage, serve: Serve) -> None:
    """Each as large as one may be. None is the next one, so one of them is enough."""
    true = owner.environ["TRUST_SERVER"]

    def alter(request: Request, answer: bytes) -> bytes:
        return reply(200, _within("root")) if request.target.endswith(".root.json") else answer

    server = serve(between(true, alter))
    stranger = people("stranger")
    stranger.run("--server", server.url, "verify", f"{gun}:1.0", "--tofu", expect=4).said("root metadata holds more")
    read = sum(request.target.endswith(".root.json") for request in server.requests)
    assert read <= 2
    assert read * tuf_limits("root").size < measured_remote.MAX_ROOT_BYTES


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path / "data")
    server.start()
    yield server
    server.kill()


def _target(server: ServerProcess) -> Target:
    parts = urlsplit(server.url)
    return Target(host=str(parts.hostname), port=int(parts.port or 0), source="127.0.0.1", gun="127.0.0.1:5000/a/b")


@pytest.mark.parametrize(("wire", "refused"), [("tuf-1.0", {413, 422}), ("notary-v1", {400, 413})])
def test_the_worst_uploads_are_answered_one_by_one(alone: ServerProcess, wire: str, refused: set[int]) -> None:
    """Nobody has signed them: each is refused, and the server goes on. Each sender sends one, so that none waits."""
    every = {**uploads.worst_admitted(wire), **uploads.beyond(wire)}
    for number, (name, raw) in enumerate(every.items(), 1):
        target = replace(_target(alone), source=f"127.0.1.{number}")
        assert len(raw) <= (tuf_limits if wire == "tuf-1.0" else notary_limits)("targets").size, name
        status = uploads.post(target, wire, uploads.form({"targets": raw, "root": uploads.document(wire)}))
        assert status in refused, name
    assert alone.get("/healthz")[0] == 200
