"""A clock that is wrong: what it signed is signed again, and a jump forward stops signing and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.support.notary_owner import NotaryOwner
from tests.support.notary_site import GUN_N, NotarySite, refusal
from tests.support.server_owner import NOW, Owner
from tests.support.server_site import GUN_A, Site
from trustdata.envelope import Envelope
from trustdata.gun import GUN
from trustdata.roles import SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF
from trustserver.responses.notary_paths import NotaryFile, notary_path
from trustserver.responses.tuf_paths import FileName, path_of

YEAR = timedelta(days=365)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A server with one collection, in one format."""

    site: Site
    owner: Owner | NotaryOwner
    gun: GUN
    wire: WireFormat
    ask: Callable[[], httpx.Response]
    upload: Callable[[], httpx.Response]
    place: bytes

    def online(self, role: RoleName) -> Envelope:
        return self.wire.parse(role, self.site.store.load(self.gun).files[role].raw)

    def versions(self) -> tuple[int, int]:
        return self.online(SNAPSHOT).version, self.online(TIMESTAMP).version

    def days(self) -> tuple[float, float]:
        """How long snapshot and timestamp are valid from now on."""
        left = (self.online(role).expires - self.site.at for role in (SNAPSHOT, TIMESTAMP))
        snapshot, timestamp = (each / timedelta(days=1) for each in left)
        return snapshot, timestamp

    def usual(self) -> tuple[float, float]:
        lives = self.wire.lifetimes
        return lives.snapshot / timedelta(days=1), lives.timestamp / timedelta(days=1)

    def restarted(self) -> Ground:
        """Another process on the same data, whose machine has just started."""
        kind = type(self.site)
        site = kind(self.site.store, sealer=self.site.sealer)
        site.at, site.synchronised = self.site.at, self.site.synchronised
        return _tuf(site, self.owner) if self.wire is TUF else _notary(site, self.owner)


def _publisher(
    owner: Owner | NotaryOwner, send: Callable[[dict[RoleName, bytes]], httpx.Response]
) -> Callable[[], httpx.Response]:
    """Publishes the next targets; what is refused is sent again the next time."""
    waiting: list[bytes] = []

    def upload() -> httpx.Response:
        if not waiting:
            waiting.append(owner.targets())
        answer = send({TARGETS: waiting[0]})
        if answer.is_success:
            waiting.clear()
        return answer

    return upload


def _tuf(site: Site, owner: Owner | NotaryOwner | None = None) -> Ground:
    owner = owner or site.begin()
    return Ground(
        site=site,
        owner=owner,
        gun=GUN_A,
        wire=TUF,
        ask=lambda: site.file("timestamp.json"),
        upload=_publisher(owner, site.publish),
        place=path_of(GUN_A, FileName(role=TIMESTAMP, version=None)),
    )


def _notary(site: Site, owner: Owner | NotaryOwner | None = None) -> Ground:
    assert isinstance(site, NotarySite)
    owner = owner or site.begin_notary()
    return Ground(
        site=site,
        owner=owner,
        gun=GUN(GUN_N),
        wire=NOTARY,
        ask=lambda: site.tuf("timestamp.json"),
        upload=_publisher(owner, site.upload),
        place=notary_path(GUN(GUN_N), NotaryFile(role=TIMESTAMP)),
    )


@pytest.fixture(params=["tuf-1.0", "notary-v1"])
def ground(request: pytest.FixtureRequest) -> Ground:
    """A server that has just begun, with a clock that is right."""
    return _tuf(Site()) if request.param == TUF.name else _notary(NotarySite())


@pytest.fixture(params=["tuf-1.0", "notary-v1"])
def ahead(request: pytest.FixtureRequest) -> Ground:
    """A server that began with a clock that was a year ahead; now it is right."""
    site = NotarySite()
    site.at = NOW + YEAR
    found = _tuf(site) if request.param == TUF.name else _notary(site)
    site.jump(days=-365)
    return found


def metric(site: Site, name: str) -> float:
    lines = site.get("/metrics").text.splitlines()
    (found,) = [line for line in lines if line.startswith(f"{name} ")]
    return float(found.rpartition(" ")[2])


# --- what was signed while the clock was ahead


def test_a_round_signs_again_what_lives_too_long(ahead: Ground, caplog: pytest.LogCaptureFixture) -> None:
    before = ahead.versions()
    assert ahead.days()[1] > 365
    assert metric(ahead.site, "trust_server_overlong_files_total") == 0
    ahead.site.upkeep()
    assert ahead.versions() == (before[0] + 1, before[1] + 1)
    assert ahead.days() == ahead.usual()
    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [(record.gun, record.role, record.version) for record in logged] == [  # type: ignore[attr-defined]
        (ahead.gun, SNAPSHOT, before[0]),
        (ahead.gun, TIMESTAMP, before[1]),
    ]
    assert metric(ahead.site, "trust_server_overlong_files_total") == 2
    ahead.site.upkeep()
    assert ahead.versions() == (before[0] + 1, before[1] + 1), "once"


def test_a_reader_has_it_signed_again(ahead: Ground) -> None:
    before = ahead.versions()
    assert ahead.site.app.asgi.ready(ahead.place) is None, "the fast way does not give it, either"
    served = ahead.wire.parse(TIMESTAMP, ahead.ask().raise_for_status().content)
    assert served.version == before[1] + 1
    assert ahead.days() == ahead.usual()
    assert ahead.site.app.asgi.ready(ahead.place) is not None


def test_a_reader_has_it_signed_again_by_a_server_that_has_just_started(ahead: Ground) -> None:
    before = ahead.versions()
    again = ahead.restarted()
    assert again.wire.parse(TIMESTAMP, again.ask().content).version == before[1] + 1


def test_a_publish_that_replaces_it_reports_it_too(ahead: Ground) -> None:
    assert ahead.upload().status_code == 200
    assert ahead.days() == ahead.usual()
    assert metric(ahead.site, "trust_server_overlong_files_total") == 2


@pytest.mark.parametrize(("seconds", "again"), [(60, False), (61, True)])
def test_a_small_correction_is_none(ground: Ground, seconds: float, again: bool) -> None:  # noqa: FBT001
    before = ground.versions()
    ground.site.jump(seconds=-seconds)
    ground.ask().raise_for_status()
    ground.site.upkeep()
    assert (ground.versions() != before) is again


def test_a_snapshot_that_its_owner_signed_is_left_alone_and_holds_nobody_up() -> None:
    site = NotarySite()
    site.at = NOW + timedelta(days=200)
    site.begin_notary(holds_snapshot=True)
    site.jump(days=-200)
    site.upkeep()
    assert (
        site.versions() == {"root": 1, "targets": 2, "snapshot": 2, "timestamp": 2} or site.versions()["timestamp"] == 2
    )
    snapshot = site.versions()["snapshot"]
    assert site.app.renewal.round(at=site.at).renewed == 0
    assert site.versions()["snapshot"] == snapshot


def test_an_owner_s_snapshot_that_clients_would_refuse_is_refused() -> None:
    site = NotarySite()
    owner = site.begin_notary(holds_snapshot=True)
    owner.at = site.at + timedelta(days=365 + 1)
    answer = site.upload({TARGETS: owner.targets(), SNAPSHOT: owner.snapshot()})
    assert refusal(answer)["detail"]["Name"] == "ErrBadSnapshot"
    assert "more than 1460 days from now" in refusal(answer)["detail"]["Error"]["Msg"]


def test_an_owner_whose_clock_is_ahead_may_begin() -> None:
    """By minutes, as most clocks are wrong: the certificate of the root key begins after the server's time."""
    site = NotarySite()
    owner = NotaryOwner(GUN_N, at=site.at + timedelta(minutes=5))
    site.learn_notary_keys(owner)
    assert site.upload(owner.first_upload()).status_code == 200


# --- a jump forward


def refused(ground: Ground, answer: httpx.Response) -> str:
    """What the publisher is told."""
    assert answer.status_code == 503
    if ground.wire is NOTARY:
        assert refusal(answer)["code"] == "CLOCK_JUMPED"
        return str(refusal(answer)["message"])
    document: dict[str, Any] = answer.json()
    assert (document["code"], document["title"]) == ("clock-jumped", "Clock jumped")
    return str(document["detail"])


def test_a_jump_forward_stops_signing_and_no_reader(ground: Ground, caplog: pytest.LogCaptureFixture) -> None:
    ground.site.upkeep()
    before, served = ground.versions(), ground.ask().content
    assert "warnings" not in ground.site.get("/readyz").json()
    ground.site.jump(days=2 * 365)
    said = refused(ground, ground.upload())
    assert (
        "the server's clock says 2028-10-31 12:00 UTC, but by the machine's uptime it is 2026-11-01 12:00 UTC" in said
    )
    assert "trust-server clock accept" in said
    answer = ground.ask()
    assert (answer.status_code, answer.content) == (200, served)
    ground.site.upkeep()
    assert ground.versions() == before
    assert [record.reason for record in caplog.records if record.levelno == logging.ERROR] == [said]  # type: ignore[attr-defined]
    ready = ground.site.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "warnings": [said]})
    assert metric(ground.site, "trust_server_clock_jumped") == 1

    ground.site.jump(days=-2 * 365)
    assert ground.upload().status_code == 200, "right again, without anybody's doing"
    assert "warnings" not in ground.site.get("/readyz").json()
    assert metric(ground.site, "trust_server_clock_jumped") == 0
    assert metric(ground.site, "trust_server_overlong_files_total") == 0


@pytest.mark.parametrize(("seconds", "signs"), [(3600, True), (3601, False)])
def test_an_hour_is_allowed(ground: Ground, seconds: float, signs: bool) -> None:  # noqa: FBT001
    ground.site.jump(seconds=seconds)
    assert (ground.upload().status_code == 200) is signs


def test_small_jumps_add_up(ground: Ground) -> None:
    ground.site.jump(minutes=40)
    assert ground.upload().status_code == 200
    ground.site.later(days=1)
    ground.site.jump(minutes=40)
    refused(ground, ground.upload())


def test_small_gains_are_forgotten_after_a_week(ground: Ground) -> None:
    """A virtual machine that each night is paused for a minute must not stop signing after two months."""
    for _ in range(100):
        ground.site.later(days=1)
        ground.site.jump(minutes=5)
        ground.site.upkeep()
        assert "warnings" not in ground.site.get("/readyz").json()
    ground.site.jump(minutes=61)
    refused(ground, ground.upload())


def test_a_clock_that_was_early_for_weeks_may_come_back(ground: Ground) -> None:
    """What is forgotten is a gain: the time at which the clock was right is not."""
    ground.site.upkeep()
    ground.site.jump(days=-100)
    for _ in range(20):
        ground.site.later(days=1)
        ground.site.upkeep()
    ground.site.jump(days=100)
    assert ground.upload().status_code == 200


def test_a_clock_that_is_too_early_signs_and_may_come_back(ground: Ground) -> None:
    ground.site.upkeep()
    ground.site.jump(days=-100)
    ground.site.upkeep()
    assert ground.days() == ground.usual()
    ground.site.jump(days=100)
    assert ground.upload().status_code == 200


def test_no_key_is_made_or_dropped_meanwhile(ground: Ground) -> None:
    other = "registry.example.com/team/new"
    offered = ground.site.get(f"/api/v1/collections/{other}/keys/timestamp").json()
    ground.site.jump(days=30)
    ground.site.upkeep()
    for name in (other, "registry.example.com/team/third"):
        answer = ground.site.get(f"/api/v1/collections/{name}/keys/timestamp")
        assert (answer.status_code, answer.json()["code"]) == (503, "clock-jumped")
    ground.site.jump(days=-30)
    assert ground.site.get(f"/api/v1/collections/{other}/keys/timestamp").json() == offered


# --- the start


def stopped_for(ground: Ground, *, days: float, synchronised: bool = False) -> Ground:
    """The server does a round, stops, and starts again."""
    ground.site.upkeep()
    ground.site.later(days=days)
    again = ground.restarted()
    again.site.synchronised = synchronised
    again.site.upkeep()
    return again


@pytest.mark.parametrize(("days", "synchronised", "signs"), [(7, False, True), (7.1, False, False), (30, True, True)])
def test_a_server_that_was_off(ground: Ground, days: float, synchronised: bool, signs: bool) -> None:  # noqa: FBT001
    before = ground.versions()
    again = stopped_for(ground, days=days, synchronised=synchronised)
    assert (again.site.get("/readyz").json() == {"status": "ready"}) is signs
    again.ask().raise_for_status()
    assert (again.versions()[1] > before[1]) is (signs and days * 2 >= again.usual()[1])
    (said,) = again.site.get("/readyz").json().get("warnings", [""])
    assert ("the server last worked on 2026-11-01 12:00 UTC" in said) is not signs


def test_the_operator_accepts_the_clock_of_a_running_server(ground: Ground) -> None:
    again = stopped_for(ground, days=30)
    before = again.versions()
    again.site.store.accept_clock(again.site.at)
    again.site.upkeep()
    assert again.versions()[1] == before[1] + 1
    assert again.site.get("/readyz").json() == {"status": "ready"}
    again.site.jump(days=30)
    again.site.upkeep()
    assert "warnings" in again.site.get("/readyz").json(), "an acceptance is for one jump"
    again.site.store.accept_clock(again.site.at)
    again.site.upkeep()
    assert again.site.get("/readyz").json() == {"status": "ready"}


def test_an_acceptance_of_another_time_is_none(ground: Ground) -> None:
    ground.site.upkeep()
    ground.site.store.accept_clock(ground.site.at)
    ground.site.jump(days=30)
    refused(ground, ground.upload())


def test_an_acceptance_of_a_wrong_time_is_no_licence_for_every_jump_up_to_it(ground: Ground) -> None:
    """The operator accepted while the clock was two years ahead, and then set it right."""
    ground.site.upkeep()
    ground.site.store.accept_clock(ground.site.at + 2 * YEAR)
    ground.site.upkeep()
    ground.site.jump(days=100)
    refused(ground, ground.upload())


def test_a_clock_that_is_early_at_the_start_may_be_set_right(ground: Ground) -> None:
    """A machine without a clock of its own begins in the past, until the network tells it the time."""
    ground.site.upkeep()
    again = ground.restarted()
    again.site.synchronised = False
    again.site.jump(days=-1000)
    again.site.upkeep()
    assert again.site.get("/readyz").json() == {"status": "ready"}
    again.site.jump(days=1006)
    again.site.upkeep()
    assert again.site.get("/readyz").json() == {"status": "ready"}
    again.site.jump(days=2)
    again.site.upkeep()
    assert "warnings" in again.site.get("/readyz").json(), "once"


def early(ground: Ground) -> Ground:
    """The server starts again while its machine does not know the time yet."""
    again = ground.restarted()
    again.site.synchronised = False
    again.site.jump(days=-1000)
    again.site.upkeep()
    return again


def test_a_machine_without_a_clock_may_start_twice(ground: Ground) -> None:
    """The power fails again before the time is known. What counts is the last round by a clock that was right."""
    ground.site.upkeep()
    once = early(ground)
    again = once.restarted()
    again.site.synchronised = False
    again.site.later(minutes=1)
    again.site.upkeep()
    assert again.site.store.clock_record().last_round == NOW
    again.site.jump(days=1000)
    again.site.upkeep()
    assert again.site.get("/readyz").json() == {"status": "ready"}
    assert again.site.store.clock_record().last_round == NOW + timedelta(minutes=1)


def test_a_machine_that_does_not_know_the_time_yet_leaves_alone_what_is_good(
    ground: Ground, caplog: pytest.LogCaptureFixture
) -> None:
    """Signed again, it would have expired years ago, and the log would tell the owners to rotate their keys."""
    ground.site.upkeep()
    before, served = ground.versions(), ground.ask().content
    again = early(ground)
    for _ in range(2):
        answer = again.ask()
        assert (answer.status_code, answer.content) == (200, served)
    again.site.jump(days=1000)
    again.site.upkeep()
    assert again.versions() == before
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_publish_before_the_time_is_known_raises_no_alarm(ground: Ground, caplog: pytest.LogCaptureFixture) -> None:
    """What it replaces was not signed by a clock ahead."""
    ground.site.upkeep()
    again = early(ground)
    assert again.upload().status_code == 200
    assert metric(again.site, "trust_server_overlong_files_total") == 0
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    again.site.jump(days=1000)
    again.site.upkeep()
    assert again.days()[1] == again.usual()[1]


@pytest.mark.parametrize("synchronised", [True, False])
def test_a_clock_that_stays_early_is_the_right_one(ground: Ground, synchronised: bool) -> None:  # noqa: FBT001
    """It was the last round that was recorded by a clock that was ahead: the kernel says so, or an hour."""
    ground.site.at += YEAR
    ahead = ground.restarted()
    ahead.site.upkeep()
    before = ahead.versions()
    assert ahead.site.store.clock_record().last_round == NOW + YEAR
    ahead.site.jump(days=-365)
    again = ahead.restarted()
    again.site.synchronised = synchronised
    again.site.upkeep()
    if not synchronised:
        again.site.later(minutes=59)
        again.site.upkeep()
        assert again.versions() == before
        again.site.later(minutes=1)
        again.site.upkeep()
    assert again.versions()[1] == before[1] + 1
    assert again.days()[1] == again.usual()[1]
    assert again.site.store.clock_record().last_round == again.site.at


def test_a_clock_that_the_kernel_vouches_for_is_not_early(ground: Ground) -> None:
    """So it may not jump to the time of a last round that a clock ahead has recorded."""
    ground.site.upkeep()
    again = ground.restarted()
    again.site.jump(days=-30)
    again.site.upkeep()
    again.site.jump(days=30)
    again.site.upkeep()
    assert "warnings" in again.site.get("/readyz").json()


@pytest.mark.parametrize(("days", "signs"), [(6, True), (8, False)])
def test_a_process_that_goes_on_on_another_machine(ground: Ground, days: int, signs: bool) -> None:  # noqa: FBT001
    """A container that was restored elsewhere: an uptime that went back says nothing, so the start's rule counts."""
    ground.site.upkeep()
    ground.site.synchronised = False
    ground.site.later(days=days)
    ground.site.jumped += timedelta(days=300)
    ground.site.upkeep()
    assert (ground.site.get("/readyz").json() == {"status": "ready"}) is signs
    if signs:
        ground.site.jump(hours=2)
        refused(ground, ground.upload())


def test_rounds_are_recorded_while_the_clock_is_trusted(ground: Ground) -> None:
    assert ground.site.store.clock_record().last_round is None
    ground.site.upkeep()
    assert ground.site.store.clock_record().last_round == NOW
    ground.site.jump(days=30)
    ground.site.upkeep()
    assert ground.site.store.clock_record().last_round == NOW
