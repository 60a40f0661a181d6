"""Who mistypes a tag is told which are signed; who runs a hook, or whom nobody has verified anything for, is not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.owner import Owner
from tests.simulator.repository import APP
from tests.simulator.scene import GOOD, good_collection
from tests.simulator.session import SimulatedSession
from trustcli.commands.support import judging
from trustdata.errors import NotSigned
from trustdata.roles import TIMESTAMP
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF


@pytest.fixture(params=[TUF, NOTARY], ids=lambda wire: wire.name)
def wire(request: pytest.FixtureRequest) -> WireFormat:
    return request.param  # type: ignore[no-any-return]


def refused(session: SimulatedSession, image: str) -> Any:
    assert session.run("verify", image) == 3
    return session.document()["images"][0]["error"]


def test_signed_tags_are_named_beside_one_that_is_not(wire: WireFormat) -> None:
    scene = good_collection(wire)
    for number in range(1, 11):
        Owner(scene.server, "alice").sign(f"1.{number}", GOOD)
    session = SimulatedSession(scene.newcomer(), as_json=True)
    error = refused(session, f"{APP}:1.11")
    assert error["code"] == NotSigned.code
    assert error["details"]["total"] == 12
    assert "1.1" in error["details"]["signed"]
    assert len(error["details"]["signed"]) == judging.TAGS_TOLD
    assert "is not signed; signed are 1.1" in error["message"]
    assert error["message"].endswith(", ... (12)")


def test_in_a_small_collection_all_are_named(wire: WireFormat) -> None:
    session = SimulatedSession(good_collection(wire).newcomer(), as_json=True)
    assert refused(session, f"{APP}:latest")["message"].endswith("latest is not signed; signed are 2.0, 1.0 (2)")


def test_very_many_tags_are_not_all_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "TAGS_COMPARED", 1)
    session = SimulatedSession(good_collection().newcomer(), as_json=True)
    assert refused(session, f"{APP}:2.00")["details"]["signed"][0] == "2.0"


def test_a_digest_names_no_tags_and_neither_does_what_hooks_ask(wire: WireFormat) -> None:
    scene = good_collection(wire)
    session = SimulatedSession(scene.newcomer(), as_json=True)
    assert "signed are" not in refused(session, f"{APP}@sha256:{'ab' * 32}")["message"]
    answer = scene.newcomer().judge("9.9")  # what the hooks call
    assert isinstance(answer.refusal, NotSigned)
    assert answer.refusal.signed == ()


def test_nothing_is_named_that_was_not_verified(wire: WireFormat) -> None:
    scene = good_collection(wire)
    scene.forger.alter(TIMESTAMP, lambda _: None, signers=[])
    session = SimulatedSession(scene.newcomer(), as_json=True)
    assert session.run("verify", f"{APP}:9.9") == 4
    assert "1.0" not in session.stdout.getvalue()
