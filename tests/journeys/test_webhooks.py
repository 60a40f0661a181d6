"""The real server tells a receiver of what was published, over TLS, also what happened while neither was there."""

from __future__ import annotations

import hmac
import json
import signal
import threading
from hashlib import sha256
from pathlib import Path

import pytest

from tests.journeys.published import GUN, begin
from tests.support.certificates import make_authority
from tests.support.hostile_server import HostileServer, Request, Wire, reply
from tests.support.server_process import ServerProcess
from trustdata.roles import TARGETS

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])
SECRET = "a secret of both sides"


class Receiver:
    """Checks what it is sent, refuses the first of all, and says when it has had so many."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.targets: list[str] = []
        self.refused = 0
        self.had = threading.Semaphore(0)

    def __call__(self, request: Request, wire: Wire) -> None:
        said = dict(part.split("=", 1) for part in request.headers["trust-signature"].split(","))
        wanted = hmac.new(SECRET.encode(), said["t"].encode() + b"." + request.body, sha256).hexdigest()
        document = json.loads(request.body)
        wire.close()
        if said["v1"] != wanted or not self.refused:
            self.refused += 1
            wire.send(reply(503))
            return
        self.numbers.append(document["event"]["number"])
        self.targets.append(request.target)
        wire.send(reply(204))
        self.had.release()

    def wait(self) -> int:
        """The number of the next event."""
        assert self.had.acquire(timeout=60)
        return self.numbers[-1]


def test_each_change_is_told_once_in_order(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    receiver = Receiver()
    there = HostileServer(receiver, tls=authority.server_context(tmp_path))
    hooks = tmp_path / "webhooks.toml"
    hooks.write_text(
        f'[[webhook]]\nname = "ci"\nurl = "{there.url}/changes"\nevents = ["published", "deleted"]\n'
        f'secret_file = "secret"\ncacert = "{authority.file}"\nallow_local = true\n'
    )
    (tmp_path / "secret").write_text(SECRET)
    for file in (hooks, tmp_path / "secret"):
        file.chmod(0o600)
    server = ServerProcess(tmp_path / "data")
    try:
        server.start("--webhooks", str(hooks))
        owner = begin(server)
        assert receiver.wait() == 1
        assert receiver.refused == 1
        assert server.stop() == 0
        server.start()  # without the webhook
        assert server.publish(GUN, {TARGETS: owner.targets()})[0] == 200
        server.kill()
        server.start("--webhooks", str(hooks))
        assert receiver.wait() == 2
        hooks.write_text(hooks.read_text().replace("/changes", "/moved"))
        server.signal(signal.SIGHUP)
        while "other webhooks" not in server.log():
            assert server.get("/healthz")[0] == 200
        assert server.publish(GUN, {TARGETS: owner.targets()})[0] == 200
        assert receiver.wait() == 3
        assert server.get(f"/api/v1/collections/{GUN}", method="DELETE")[0] == 200
        assert receiver.wait() == 4
        assert server.stop() == 0
    finally:
        server.kill()
        there.stop()
    assert receiver.numbers == [1, 2, 3, 4]
    assert receiver.targets == ["/changes"] * 2 + ["/moved"] * 2
    assert there.requests[0].target == "/changes"
