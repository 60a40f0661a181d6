"""A run over several collections at a machine whose clock is wrong: it is told, and nothing wrong is published.

The server's clock is right. When the clock has been set, the same command ends well.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.journeys.late_client import LateUser
from tests.support.server_process import ServerProcess
from tests.support.stage import People

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

EXPIRED = "metadata-expired"
NOT_YET = "certificate-not-valid-now"


def versions(server: ServerProcess, name: str) -> dict[str, int]:
    found: dict[str, int] = json.loads(server.get(f"/api/v1/collections/{name}")[1])["versions"]
    return found


@pytest.mark.parametrize(
    ("form", "role", "days", "seen"),
    [
        # Ahead: what the server has signed seems to have expired, and nothing is sent.
        ("tuf", "targets", 30, (EXPIRED, "the clock here is 30 days ahead of that of", 1)),
        ("notary", "targets", 30, (EXPIRED, "the clock here is 30 days ahead of that of", 1)),
        # A little ahead: a certificate that begins in some days is no root key yet.
        ("notary", "root", 5, ("publish-refused", "the clock here is 5 days ahead of that of", 1)),
        # Behind: what is signed had expired before it arrived.
        ("tuf", "targets", -1000, ("remote-refused", "the clock here is 1000 days behind that of", 1)),
        # Some weeks behind: it is stored, and not believed here before the clock is right. That is another day by then,
        # and so the same command rotates once more.
        ("tuf", "targets", -60, ("lives-too-long", "the clock here is 60 days behind that of", 2)),
        # Behind: the root key is of later, also the one that is known here, and so no server is asked the time.
        ("notary", "targets", -3, (NOT_YET, "next: see that the clock here is right (trust doctor)", 1)),
    ],
)
def test_a_clock_that_is_wrong(
    *,
    people: People,
    gun: str,
    trust_server: ServerProcess,
    form: str,
    role: str,
    days: int,
    seen: tuple[str, str, int],
) -> None:
    """`seen`: the error of each, what is told, and the version of each root."""
    code, why, root = seen
    owner = people("owner")
    names = [f"{gun}/{form}{letter}" for letter in "ab"]
    owner.run("init", *names, "--no-recovery-key", "--format", form)
    command = ("key", "rotate", role, "--glob", f"{gun}/*", "--yes")
    late = LateUser(owner, days).run("--json", *command, expect=None)
    rows: list[dict[str, Any]] = late.document()["collections"]
    assert [row["state"] for row in rows] == ["failed", "failed"], str(late)
    assert {row["error"]["code"] for row in rows} == {code}, str(late)
    late.said(why)
    assert [versions(trust_server, name)["root"] for name in names] == [root, root]
    for name in names:
        owner.run("verify", f"{name}:1.0", expect=3).said("is not signed")
    again = owner.run("--json", *command).document()["collections"]
    assert [row["state"] for row in again] == ["done"] * 2
    assert [versions(trust_server, name)["root"] for name in names] == [root + 1] * 2
