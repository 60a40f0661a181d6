"""Every request of a command may be turned away once: `trust` waits, and the command is done."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.journeys.hostile import between
from tests.support.hostile_server import HostileServer, Request, Script, reply
from tests.support.stage import Put
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

Serve = Callable[[Script], HostileServer]


@pytest.mark.parametrize("case", [(429, "tuf"), (503, "tuf"), (429, "notary"), (503, "notary")])
def test_each_request_is_turned_away_once(
    owner: TrustUser, gun: str, put: Put, serve: Serve, case: tuple[int, str]
) -> None:
    """Reads, the server's keys, publishes of `init` and `sign`; it says when to come back, and that is at once."""
    status, format_ = case
    seen: set[tuple[str, str]] = set()

    def alter(request: Request, answer: bytes) -> bytes:
        asked = (request.method, request.target)
        if asked in seen:
            return answer
        seen.add(asked)
        return reply(status, b"slow down", {"Retry-After": "0"})

    busy = serve(between(owner.environ["TRUST_SERVER"], alter)).url
    put("1.0")
    for arguments in (
        ["init", gun, "--no-recovery-key", "--format", format_],
        ["sign", f"{gun}:1.0"],
        ["verify", f"{gun}:1.0"],
        ["revoke", "--yes", f"{gun}:1.0"],
    ):
        owner.run("--server", busy, *arguments)
    assert any(method == "POST" for method, _ in seen)
    owner.run("--server", busy, "verify", f"{gun}:1.0", expect=3)


def test_who_waits_in_vain_is_told_how_long(owner: TrustUser, gun: str, serve: Serve) -> None:
    busy = serve(lambda _, wire: wire.send(reply(429, b"slow down", {"Retry-After": "7200"})))
    ran = owner.run("--server", busy.url, "--tofu", "verify", f"{gun}:1.0", expect=6)
    ran.said(f"{busy.url} is busy (429): slow down", "run the same command again after 7200 s")
    assert len(busy.requests) <= 2, "nobody waits for two hours, nor asks all the same"
