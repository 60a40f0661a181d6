"""What journeys of the server publish first, as an owner who writes uploads with python-tuf's classes."""

from __future__ import annotations

from tests.support.server_owner import Owner
from tests.support.server_process import ServerProcess
from trustserver.process.kernel_clock import now

GUN = "registry.example.com/team/app"


def begin(server: ServerProcess) -> Owner:
    """Publish the first version of GUN, by the real clock, as the program does."""
    owner = Owner(now())
    owner.tags = {"1.0": "ab" * 32}
    server.learn_keys(owner, GUN)
    status, body = server.publish(GUN, owner.first_upload())
    assert status == 200, body
    return owner
