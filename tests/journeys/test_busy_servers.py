"""Every request of a command may be turned away once: `trust` waits, and the command is done."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.journeys.hostile import between, fetched
from tests.support.hostile_server import HostileServer, Request, Script, Wire, reply
from tests.support.server_process import ServerProcess
from tests.support.stage import Put
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

Serve = Callable[[Script], HostileServer]


class BusyOnce:
    """Turns each request away once; `done`: after the server behind it has done what was asked."""

    def __init__(self, url: str, status: int, *, done: bool) -> None:
        self.seen: set[tuple[str, str]] = set()
        self._passed_on = between(url, lambda _, answer: answer)
        self._behind = url
        self._answer = reply(status, b"slow down", {"Retry-After": "0"})
        self._done = done

    def __call__(self, request: Request, wire: Wire) -> None:
        asked = (request.method, request.target)
        if asked in self.seen:
            self._passed_on(request, wire)
            return
        self.seen.add(asked)
        if self._done:
            fetched(self._behind, request)
        wire.send(self._answer)

    @property
    def uploads(self) -> set[str]:
        return {target.rpartition("/")[2] for method, target in self.seen if method == "POST"}


done_or_not = pytest.mark.parametrize("done", [False, True], ids=["not done", "done"])


@pytest.mark.parametrize("case", [(429, "tuf"), (503, "tuf"), (429, "notary"), (503, "notary")])
@done_or_not
def test_each_request_is_turned_away_once(
    owner: TrustUser, gun: str, put: Put, serve: Serve, *, case: tuple[int, str], done: bool
) -> None:
    """Reads, the server's keys, publishes of `init` and `sign`; it says when to come back, and that is at once."""
    status, format_ = case
    once = BusyOnce(owner.environ["TRUST_SERVER"], status, done=done)
    busy = serve(once).url
    put("1.0")
    for arguments in (
        ["init", gun, "--no-recovery-key", "--format", format_],
        ["sign", f"{gun}:1.0"],
        ["verify", f"{gun}:1.0"],
        ["revoke", "--yes", f"{gun}:1.0"],
    ):
        owner.run("--server", busy, *arguments)
    assert once.uploads
    owner.run("--server", busy, "verify", f"{gun}:1.0", expect=3)


@done_or_not
def test_a_collection_is_taken_over_by_a_server_that_is_busy_once(
    owner: TrustUser, own_server: ServerProcess, gun: str, put: Put, serve: Serve, *, done: bool
) -> None:
    """The upload of all of it, and the rotation after it."""
    put("1.0")
    owner.run("init", gun, "--no-recovery-key", "--format", "notary")
    owner.run("sign", f"{gun}:1.0")
    source = owner.environ["TRUST_SERVER"]
    own_server.start()
    once = BusyOnce(own_server.url, 503, done=done)
    owner.run("--server", serve(once).url, "migrate", "from-notary", source, gun)
    assert "take-over" in once.uploads
    owner.run("--server", own_server.url, "verify", f"{gun}:1.0")


def test_a_collection_was_taken_over_if_only_the_answer_was_lost(
    owner: TrustUser, own_server: ServerProcess, gun: str, put: Put, serve: Serve
) -> None:
    put("1.0")
    owner.run("init", gun, "--no-recovery-key", "--format", "notary")
    owner.run("sign", f"{gun}:1.0")
    own_server.start()
    lossy = serve(
        between(own_server.url, lambda request, answer: None if request.target.endswith("/take-over") else answer)
    )
    ran = owner.run("--server", lossy.url, "migrate", "from-notary", owner.environ["TRUST_SERVER"], gun)
    assert f"{gun}: taken over" in ran.stdout
    owner.run("--server", own_server.url, "verify", f"{gun}:1.0")


def test_who_waits_in_vain_is_told_how_long(owner: TrustUser, gun: str, serve: Serve) -> None:
    busy = serve(lambda _, wire: wire.send(reply(429, b"slow down", {"Retry-After": "7200"})))
    ran = owner.run("--server", busy.url, "--tofu", "verify", f"{gun}:1.0", expect=6)
    ran.said(f"{busy.url} is busy (429): slow down", "run the same command again after 7200 s")
    assert len(busy.requests) <= 2, "nobody waits for two hours, nor asks all the same"
