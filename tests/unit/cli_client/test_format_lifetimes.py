"""What is late, due or old goes by the lifetimes of the collection's format, in every command."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.simulator.client import Client
from tests.simulator.scene import Scene, good_collection
from tests.simulator.session import SimulatedSession
from trustcli.doctor.expiry import check_expiry
from trustcli.doctor.look import look_at
from trustdata.roles import ROOT, SNAPSHOT, TIMESTAMP
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

HOUR = timedelta(hours=1)
FORMATS = [pytest.param(wire, id=wire.name) for wire in (TUF, NOTARY)]


def ran(client: Client, *arguments: str) -> Any:
    session = SimulatedSession(client, as_json=True)
    session.run(*arguments)
    return session.document()


def later(scene: Scene, span: timedelta) -> Client:
    """A newcomer who comes then; the server has renewed nothing since."""
    client = scene.newcomer()
    client.at += span
    return client


@pytest.mark.parametrize("wire", FORMATS)
def test_expiring_names_a_stuck_timestamp_at_half_of_its_life(wire: WireFormat) -> None:
    scene, half = good_collection(wire), wire.lifetimes.timestamp / 2
    for span, late in ((half - HOUR, []), (half + HOUR, [TIMESTAMP])):
        document = ran(later(scene, span), "expiring", scene.server.gun, "--within", "1s")
        assert [row["role"] for row in document["expiring"]] == late


@pytest.mark.parametrize("wire", FORMATS)
def test_doctor_names_a_stuck_timestamp_at_half_of_its_life(wire: WireFormat) -> None:
    scene, half = good_collection(wire), wire.lifetimes.timestamp / 2
    for span, late in ((half, 0), (half + HOUR, 1)):
        client = later(scene, span)
        look = look_at(SimulatedSession(client), scene.server.gun)
        wrong = [finding.text for finding in check_expiry(look, client.at) if finding.severity == "wrong"]
        assert len(wrong) == late
        assert all(text.startswith("timestamp version") for text in wrong)


@pytest.mark.parametrize("wire", FORMATS)
def test_renew_takes_what_is_in_the_last_third_of_its_life(wire: WireFormat) -> None:
    """There are no keys here, so what is due is left, by name."""
    last = timedelta(seconds=1)
    for before, expected in ((last, set()), (-last, {"targets", "targets/releases", "targets/alice"})):
        scene = good_collection(wire)
        scene.server.later(wire.lifetimes.targets * 2 / 3 - before)
        scene.server.issue()
        (row,) = ran(scene.newcomer(), "renew", scene.server.gun)["collections"]
        assert {left["role"] for left in row["left"]} - {ROOT} == expected


@pytest.mark.parametrize("wire", FORMATS)
def test_explain_says_when_each_role_was_signed(wire: WireFormat) -> None:
    scene = good_collection(wire)
    told = ran(scene.newcomer(), "explain", f"{scene.server.gun}:1.0")["explanation"]
    signed = {step["role"]: step["issued_about"] for step in told["roles"]}
    assert signed.keys() >= {TIMESTAMP, SNAPSHOT, "targets", "targets/releases"}
    assert {datetime.fromisoformat(at) for at in signed.values()} == {scene.server.at}
