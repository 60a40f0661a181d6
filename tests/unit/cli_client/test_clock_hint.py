"""Where a refusal depends on the time, the server's clock is named beside ours; it changes no verdict."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.simulator.repository import APP
from tests.simulator.scene import good_collection
from tests.simulator.session import SimulatedSession
from trustcli.http.server_time import told_time
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF


@pytest.fixture(params=[TUF, NOTARY], ids=lambda wire: wire.name)
def wire(request: pytest.FixtureRequest) -> WireFormat:
    return request.param  # type: ignore[no-any-return]


def verified(wire: WireFormat, *, ours: timedelta, servers: timedelta | None) -> tuple[int, str]:
    scene = good_collection(wire)
    at = scene.server.at
    scene.server.later(ours)
    scene.server.told_time = None if servers is None else at + servers
    client = scene.newcomer()
    return SimulatedSession(client).run("verify", f"{APP}:1.0"), " ".join(client.warnings)


def test_a_clock_that_is_ahead(wire: WireFormat) -> None:
    status, said = verified(wire, ours=timedelta(days=400), servers=timedelta(0))
    assert status == 4
    assert "the clock here is 400 days ahead of that of" in said
    assert "if it is wrong, so is this refusal" in said


def test_clocks_that_agree_are_no_word_worth(wire: WireFormat) -> None:
    status, said = verified(wire, ours=timedelta(days=400), servers=timedelta(days=400, minutes=-4))
    assert status == 4
    assert "clock here" not in said


def test_a_server_that_does_not_say(wire: WireFormat) -> None:
    status, said = verified(wire, ours=timedelta(days=400), servers=None)
    assert status == 4
    assert "clock here" not in said


def test_a_server_s_clock_makes_nothing_fresh(wire: WireFormat) -> None:
    """An attacker who replays old files may send any date."""
    status, _ = verified(wire, ours=timedelta(days=400), servers=timedelta(days=-400))
    assert status == 4
    assert verified(wire, ours=timedelta(0), servers=timedelta(days=400)) == (0, "")


@pytest.mark.parametrize(
    ("date", "meant"),
    [
        ("Sun, 29 Nov 2026 21:00:00 GMT", "2026-11-29T21:00:00+00:00"),
        ("Sun, 29 Nov 2026 21:00:00 -0000", "2026-11-29T21:00:00+00:00"),
        ("yesterday", None),
        ("Sun, 29 Nov 0001 21:00:00 +2359", None),
    ],
)
def test_dates(date: str, meant: str | None) -> None:
    assert told_time(date) == (datetime.fromisoformat(meant) if meant else None) or meant is None
