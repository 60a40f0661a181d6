"""`trust delete`: the collection is gone, its tombstone is shown, and whoever knew it is told."""

from __future__ import annotations

import pytest

from tests.journeys.hostile import Serve, fetched
from tests.support.hostile_server import Request, Wire
from tests.support.images import BuiltImage
from tests.support.stage import People
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture(params=["tuf", "notary"])
def pair(request: pytest.FixtureRequest, owner: TrustUser, gun: str) -> list[str]:
    """Two collections of one format."""
    names = [f"{gun}/{letter}" for letter in "ab"]
    owner.run("init", *names, "--no-recovery-key", "--format", request.param)
    return names


def states(owner: TrustUser, *command: str, expect: int = 0) -> list[str]:
    return [row["state"] for row in owner.run("--json", *command, expect=expect).document()["collections"]]


def test_the_tombstone_is_shown(owner: TrustUser, people: People, pair: list[str]) -> None:
    first, second = pair
    pin = owner.pin_of(first)
    owner.run("delete", first, expect=2).said(f"{first} at ", f"pinned here to {pin}", "--yes")
    assert states(owner, "delete", first, f"{second}-none", "--yes", expect=3) == ["not tried", "failed"]
    owner.run("signer", "list", first)
    (row,) = owner.run("--json", "delete", first, "--yes").document()["collections"]
    assert (row["state"], row["tombstone"]["deleted_root"]) == ("done", pin)
    assert row["tombstone"]["versions"]["root"] == 1
    refused = owner.run("verify", f"{first}:1.0", expect=4)
    refused.said(f"{first} was deleted on ", f"as the server says: its root was {pin}, as it is pinned here\n")
    people("stranger").run("verify", f"{first}:1.0", expect=3)
    assert states(owner, "delete", first, second, "--yes") == ["nothing to do", "done"]
    assert states(owner, "delete", first) == ["nothing to do"], "nobody is asked"
    said = owner.run("delete", first, "--yes")
    assert f"its root was {pin}" in said.stderr
    assert said.stdout == ""


def test_a_plan_deletes_nothing(owner: TrustUser, pair: list[str]) -> None:
    first, second = pair
    pin = owner.pin_of(first)
    planned = owner.run("delete", first, second, "--plan")
    *lines, told = planned.stdout.splitlines()
    for line, gun in zip(lines, pair, strict=True):
        assert line.startswith(f"would be deleted: {gun} at ")
    assert told == "2 plans: 2 can be carried out, 0 cannot"
    assert f"pinned here to {pin}" in planned.stdout
    document = owner.run("--json", "delete", first, f"{second}-none", "--plan", expect=3).document()
    row, none = document["plans"]
    assert (row["pin"], row["tombstone"], row["error"]) == (pin, None, None)
    assert row["versions"]["root"] == 1
    assert (none["server"], none["error"]["code"], document["feasible"]) == (None, "no-trust-data", False)
    assert states(owner, "delete", first, "--yes") == ["done"]
    document = owner.run("--json", "delete", first, "--plan").document()
    assert document["plans"][0]["tombstone"]["deleted_root"] == pin
    assert owner.run("delete", first, "--plan").stdout.endswith(": nothing to do\n")
    mixed = owner.run("delete", first, second, f"{second}-none", "--plan", expect=3)
    assert mixed.stdout.endswith("\n3 plans: 1 can be carried out, 1 cannot, 1 change nothing\n")


def test_a_lost_reply(owner: TrustUser, pair: list[str], serve: Serve) -> None:
    def script(request: Request, wire: Wire) -> None:
        answer = fetched(owner.environ["TRUST_SERVER"], request)
        if request.method == "DELETE":
            wire.close()
        else:
            wire.send(answer)

    assert states(owner, "--server", serve(script).url, "delete", *pair, "--yes") == ["done", "done"]


def test_an_alias_is_not_deleted(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    owner.run("pin", f"{gun}-mirror", owner.pin_of(gun), "--named", gun)
    for command in ("delete", "prune"):
        owner.run(command, f"{gun}-mirror", "--yes", expect=2).said(f"makes it an alias; name {gun}")
