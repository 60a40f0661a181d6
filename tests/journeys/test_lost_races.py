"""Somebody moves the tag between our first look and our last: he is not overwritten, nor called an attacker."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.journeys.hostile import Serve, begin, fetched
from tests.support.hostile_server import Request, Wire
from tests.support.stage import People, Put
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def overtaking(owner: TrustUser, serve: Serve, act: Callable[[], object], *, after: bool = False) -> str:
    """URL of a front that lets `act` happen once, right before (or after) the first publish is stored."""
    true = owner.environ["TRUST_SERVER"]
    done: list[str] = []

    def script(request: Request, wire: Wire) -> None:
        first = request.target.endswith("/publish") and not done
        if first:
            done.append(request.target)
        if first and not after:
            act()
        answer = fetched(true, request)
        if first and after:
            act()
        wire.send(answer)

    return serve(script).url


@pytest.mark.parametrize("what", [":1.0", ""])
@pytest.mark.parametrize("after", [False, True])
def test_a_revocation_does_not_take_away_what_was_signed_meanwhile(
    *, owner: TrustUser, gun: str, put: Put, serve: Serve, what: str, after: bool
) -> None:
    begin(owner, gun, put)
    other = put("other", text="other")
    server = overtaking(owner, serve, lambda: owner.run("sign", f"{gun}:1.0@{other.digest}"), after=after)
    failed = owner.run("--server", server, "revoke", "--yes", f"{gun}{what}", expect=7)
    failed.said(f"{gun}:1.0 was changed meanwhile: it is now {other.digest}", "we wanted nothing")
    assert failed.stdout == ""
    assert owner.run("verify", f"{gun}:1.0").stdout == f"{gun}@{other.digest}\n"


def test_a_revocation_is_not_disturbed_by_other_tags(owner: TrustUser, gun: str, put: Put, serve: Serve) -> None:
    image = begin(owner, gun, put)
    server = overtaking(owner, serve, lambda: owner.run("sign", f"{gun}:2.0@{image.digest}"))
    assert owner.run("--server", server, "revoke", "--yes", f"{gun}:1.0").stdout == f"revoked {gun}:1.0\n"
    owner.run("verify", f"{gun}:1.0", expect=3)
    owner.run("verify", f"{gun}:2.0")


def test_somebody_signs_the_tag_right_after_us(owner: TrustUser, gun: str, put: Put, serve: Serve) -> None:
    image = begin(owner, gun, put)
    other = put("other", text="other")
    act = lambda: owner.run("sign", f"{gun}:2.0@{other.digest}")  # noqa: E731 - as above
    server = overtaking(owner, serve, act, after=True)
    failed = owner.run("--server", server, "sign", f"{gun}:2.0@{image.digest}", expect=7)
    failed.said(f"{gun}:2.0 was changed meanwhile: it is now {other.digest}", f"we wanted {image.digest}")
    assert failed.stdout == ""


def test_another_owner_rotates_the_same_key(owner: TrustUser, people: People, gun: str, put: Put, serve: Serve) -> None:
    """She has the same keys on another machine. On one machine it would be the same rotation (ADR 0067)."""
    begin(owner, gun, put)
    other = people("other")
    shutil.copytree(owner.home, other.home)
    server = overtaking(owner, serve, lambda: other.run("key", "rotate", "targets", gun))
    failed = owner.run("--server", server, "key", "rotate", "targets", gun, expect=7)
    failed.said("targets: its keys were changed meanwhile by somebody else")
    assert failed.stdout == ""
