"""Many `trust sign` at once on one collection: every one gets in, nobody sees a conflict, nothing is overwritten."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import ClassVar

import pytest

from tests.support.server_process import ServerProcess
from tests.support.stage import Put
from tests.support.trust_program import Ran, TrustUser, finished
from tests.support.tuf_client import TufClient

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

MANY, FIFTY = 15, 50
QUIET = (
    r"\S+:n[0-9]+ is sha256:[0-9a-f]{64} \(a manifest of [0-9]+ bytes\)\n"
    r"(others are publishing to this collection; waiting for our turn\n)?"
)
"""What may stand on standard error: what is being signed, and why it takes longer."""


def sign_at_once(owner: TrustUser, *images: str, server: str = "") -> list[Ran]:
    """Start one process for each image, all before the first is waited for."""
    environ = {"TRUST_SERVER": server} if server else {}
    started = [(("sign", image), owner.start("sign", image, **environ)) for image in images]
    return [finished(process, arguments, expect=None) for arguments, process in started]


@pytest.mark.parametrize("many", [MANY, pytest.param(FIFTY, marks=pytest.mark.long)])
def test_all_at_once_get_in_and_nothing_is_shown(
    *, owner: TrustUser, gun: str, put: Put, trust_server: ServerProcess, tmp_path: Path, many: int
) -> None:
    images = [put("base"), put("other", text="other")]
    owner.run("init", gun, "--no-recovery-key")
    wanted = {f"n{index}": images[index % 2].digest for index in range(many)}
    for ran in sign_at_once(owner, *(f"{gun}:{tag}@{digest}" for tag, digest in wanted.items())):
        assert ran.status == 0, str(ran)
        assert re.fullmatch(QUIET, ran.stderr), str(ran)
    verified = owner.run("verify", *(f"{gun}:{tag}" for tag in wanted))
    assert verified.stdout.splitlines() == [f"{gun}@{digest}" for digest in wanted.values()]
    client = TufClient(tmp_path / "python-tuf", trust_server.url, gun)
    assert {tag: client.digest_of(tag) for tag in list(wanted)[:5]} == dict(list(wanted.items())[:5])
    state = json.loads(trust_server.get(f"/api/v1/collections/{gun}")[1])
    assert state["versions"]["targets"] == 1 + many, "each in a publish of its own, none twice"


class Gate(BaseHTTPRequestHandler):
    """A trust server's front that lets the first two publishes through only together: both have read the same state."""

    protocol_version = "HTTP/1.1"
    behind: ClassVar[str]
    both: ClassVar[threading.Barrier]
    publishes: ClassVar[Iterator[int]]

    def do_GET(self) -> None:
        self._pass_on(b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/publish") and next(self.publishes) < self.both.parties:  # later ones are not held
            self.both.wait(timeout=60)
        self._pass_on(body)

    def _pass_on(self, body: bytes) -> None:
        connection = http.client.HTTPConnection(self.behind, timeout=60)
        try:
            headers = {name: self.headers[name] for name in ("Content-Type",) if name in self.headers}
            connection.request(self.command, self.path, body=body or None, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name in ("Content-Type",):
                self.send_header(name, answer.headers.get(name, "application/octet-stream"))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        finally:
            connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


@pytest.fixture
def gate(trust_server: ServerProcess) -> Iterator[str]:
    """URL of a gate before the trust server."""
    behind = trust_server.url.removeprefix("http://")
    handler = type("OneGate", (Gate,), {"behind": behind, "both": threading.Barrier(2), "publishes": count()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("signed_before", [False, True])
def test_two_digests_under_one_tag_one_is_in_and_the_other_is_told(
    *, owner: TrustUser, gun: str, put: Put, gate: str, signed_before: bool
) -> None:
    one, other = put("one"), put("other", text="other")
    owner.run("init", gun, "--no-recovery-key")
    if signed_before:
        third = put("third", text="third")
        owner.run("sign", f"{gun}:1.0@{third.digest}")
    digests = [one.digest, other.digest]
    ran = sign_at_once(owner, *(f"{gun}:1.0@{digest}" for digest in digests), server=gate)
    assert sorted(done.status for done in ran) == [0, 7], "\n".join(map(str, ran))
    winner = next(index for index, done in enumerate(ran) if done.status == 0)
    loser = ran[1 - winner].said(f"{gun}:1.0 was changed meanwhile", one.digest, other.digest, "trust inspect --pretty")
    assert loser.stdout == ""
    assert owner.run("verify", f"{gun}:1.0").stdout == f"{gun}@{digests[winner]}\n"


def test_two_that_sign_the_same_digest_are_both_content(owner: TrustUser, gun: str, put: Put, gate: str) -> None:
    image = put("1.0")
    owner.run("init", gun, "--no-recovery-key")
    ran = sign_at_once(owner, f"{gun}:1.0", f"{gun}:1.0", server=gate)
    assert [done.status for done in ran] == [0, 0], "\n".join(map(str, ran))
    assert [done.stdout for done in ran] == [f"{gun}:1.0@{image.digest}\n"] * 2


def test_a_signature_and_a_revocation_of_other_tags_do_not_disturb_each_other(
    owner: TrustUser, gun: str, put: Put, gate: str
) -> None:
    image = put("1.0")
    owner.run("init", gun, "--no-recovery-key")
    owner.run("sign", f"{gun}:1.0")
    commands = [("revoke", "--yes", f"{gun}:1.0"), ("sign", f"{gun}:2.0@{image.digest}")]
    started = [owner.start(*command, TRUST_SERVER=gate) for command in commands]
    for command, process in zip(commands, started, strict=True):
        finished(process, command)
    owner.run("verify", f"{gun}:1.0", expect=3)
    owner.run("verify", f"{gun}:2.0")
