"""`trust verify --json` names every signer of a digest; those that nobody asked for decide nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.client import Client
from tests.simulator.owner import Owner
from tests.simulator.repository import APP
from tests.simulator.scene import GOOD, good_collection
from tests.simulator.session import SimulatedSession
from trustdata.roles import RoleName
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

ALICE = RoleName("targets/alice")


@pytest.fixture(params=[TUF, NOTARY], ids=lambda wire: wire.name)
def wire(request: pytest.FixtureRequest) -> WireFormat:
    return request.param  # type: ignore[no-any-return]


def verified(client: Client, image: str = f"{APP}:1.0", *options: str) -> Any:
    session = SimulatedSession(client, as_json=True)
    assert session.run("verify", image, *options) == 0, session.stderr.getvalue()
    (row,) = session.document()["images"]
    return row


def test_signers_that_nobody_asked_for_are_named(wire: WireFormat) -> None:
    scene = good_collection(wire)
    assert verified(scene.newcomer())["signers"] == ["alice"]
    Owner(scene.server, "bob").sign("1.0", GOOD)
    assert verified(scene.newcomer())["signers"] == ["alice", "bob"]
    assert verified(scene.newcomer(), f"{APP}@sha256:{GOOD}")["signers"] == ["alice", "bob"]
    assert verified(scene.newcomer(), f"{APP}:1.0", "--signer", "bob")["signers"] == ["alice", "bob"]
    assert verified(scene.newcomer(), f"{APP}:2.0")["signers"] == []


@pytest.mark.parametrize("harm", ["withheld", "tampered"])
def test_a_signer_who_cannot_be_read_changes_no_verdict(wire: WireFormat, harm: str) -> None:
    scene = good_collection(wire)
    Owner(scene.server, "bob").sign("1.0", GOOD)
    before = verified(scene.newcomer())
    file = scene.server.current(ALICE)
    if harm == "withheld":
        del scene.server.files[file]
    else:
        scene.server.files[file] = scene.server.files[file].replace(b'"expires":"20', b'"expires":"21')
    after = verified(scene.newcomer())
    assert after["signers"] == ["bob"]
    assert after["digest"] == before["digest"] == f"sha256:{GOOD}"


def test_for_people_nobody_is_asked_beside_those_that_decide(wire: WireFormat) -> None:
    """A hook or script in a loop does not pay for signers that it does not see."""
    scene = good_collection(wire)
    client = scene.newcomer()
    session = SimulatedSession(client)
    assert session.run("verify", f"{APP}:1.0") == 0
    assert not any("alice" in name for name in scene.server.requests)
