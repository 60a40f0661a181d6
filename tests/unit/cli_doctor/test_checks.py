"""The doctor's checks on simulated collections: each is on where something is wrong, and off where nothing is."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.simulator.attacks import moves
from tests.simulator.client import Client
from tests.simulator.owner import Owner
from tests.simulator.repository import APP, RepositorySimulator
from tests.simulator.scene import GOOD, Scene, good_collection
from tests.simulator.session import SimulatedSession
from tests.simulator.siblings import Siblings, pinned, siblings
from trustcli.doctor.clock import check_clock
from trustcli.doctor.collection import check_briefly, check_collection, check_name
from trustcli.doctor.expiry import check_expiry
from trustcli.doctor.failing import guarded
from trustcli.doctor.findings import Finding
from trustcli.doctor.look import Look, look_at
from trustcli.doctor.registry import granted
from trustcli.errors import ImageNotFound
from trustcli.http.messages import Origin, Response
from trustcli.http.record import Exchange
from trustdata.due import late_online_roles
from trustdata.errors import ThresholdNotMet
from trustdata.roles import RELEASES, TARGETS, RoleName
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS
from trustdata.wire.tuf import TUF

ALICE = RoleName("targets/alice")


def _look(scene: Scene, client: Client | None = None) -> Look:
    return look_at(SimulatedSession(client or scene.newcomer()), scene.server.gun)


def _of(findings: Iterator[Finding], check: str) -> list[tuple[str, str]]:
    return [(finding.severity, finding.text) for finding in findings if finding.check == check]


def test_a_good_collection() -> None:
    look = _look(good_collection())
    assert look.refusal is None
    assert look.unpublished == ("targets/bob",)
    assert set(look.roles) == {"root", "timestamp", "snapshot", "targets", "targets/releases", "targets/alice"}
    assert {finding.severity for finding in check_collection(look)} == {"ok", "note"}
    assert check_briefly(look).severity == "ok"
    assert look.signed_tag == next(iter(look.roles[RELEASES].targets.targets)), "one that the registry should have"


def test_what_no_registry_takes_for_a_tag_is_not_asked_for() -> None:
    scene = good_collection()

    def odd(document: dict[str, object]) -> None:
        targets = document["targets"]
        assert isinstance(targets, dict)
        document["targets"] = {"no tag/at all": next(iter(targets.values()))}
        document["version"] = int(str(document["version"])) + 1

    scene.forger.alter(RELEASES, odd)
    look = _look(scene)
    assert list(look.roles[RELEASES].targets.targets) == ["no tag/at all"]
    assert look.signed_tag is None
    assert Look(gun=scene.server.gun).signed_tag is None


@pytest.mark.parametrize(
    ("days", "severity", "words"),
    [(91, None, ""), (89, "note", "in 89 days"), (15, "note", "in 15 days"), (13, "wrong", "in 13 days")],
)
def test_offline_roles_that_run_out(days: int, severity: str | None, words: str) -> None:
    scene = good_collection()
    until = scene.server.at + timedelta(days=days, minutes=1)
    scene.forger.alter(ALICE, lambda d: d.update(version=2, expires=f"{until:%Y-%m-%dT%H:%M:%SZ}"))
    found = [finding for finding in check_expiry(_look(scene), scene.server.at) if finding.severity != "ok"]
    assert [finding.severity for finding in found] == ([severity] if severity else [])
    for finding in found:
        assert words in finding.text
        assert "targets/alice version 2" in finding.text
        assert str(finding.remedy).startswith(f"trust renew {scene.server.gun}")


def test_an_expired_offline_role_is_listed_and_wrong() -> None:
    scene = good_collection()
    moves.expire(scene, TARGETS)
    look = _look(scene)
    assert look.refusal is None
    (finding,) = [finding for finding in check_expiry(look, scene.server.at) if finding.severity == "wrong"]
    assert "targets version" in finding.text
    assert "expired on" in finding.text


@pytest.mark.parametrize(("hours", "late"), [(36, False), (38, True)])
def test_online_roles_that_the_server_should_have_renewed(hours: int, late: bool) -> None:  # noqa: FBT001
    scene = good_collection()
    client = scene.newcomer()
    client.at += timedelta(hours=hours)
    wrong = [f for f in check_expiry(_look(scene, client), client.at) if f.severity == "wrong"]
    assert ["timestamp" in finding.text for finding in wrong] == ([True] if late else [])
    assert bool(late_online_roles(_look(scene, client).roles, TUF.lifetimes, at=client.at)) is late, "trust expiring"


def test_a_published_signer_s_role_that_does_not_verify() -> None:
    scene = good_collection()
    moves.sign_with(scene, ALICE, "mallory")
    look = _look(scene)
    assert isinstance(look.unreadable[ALICE], ThresholdNotMet)
    assert [severity for severity, _ in _of(check_collection(look), "delegation")][:1] == ["wrong"]
    assert check_briefly(look).severity == "wrong"


def test_releases_without_the_repository_key() -> None:
    scene = good_collection()

    def alone(document: dict[str, object]) -> None:
        delegations = document["delegations"]
        assert isinstance(delegations, dict)
        releases, alice = delegations["roles"][0], delegations["roles"][1]
        releases["keyids"] = list(alice["keyids"])
        document["version"] = int(str(document["version"])) + 1

    scene.forger.alter(TARGETS, alone)
    moves.sign_with(scene, RELEASES, "alice")
    ((severity, text),) = _of(check_collection(_look(scene)), "releases")
    assert severity == "wrong"
    assert "the repository key is not one of the keys" in text


def test_a_root_that_needs_all_of_its_keys() -> None:
    server = RepositorySimulator()
    pin = Owner(server).initialise("root")
    Owner(server).sign("1.0", GOOD)
    look = look_at(SimulatedSession(Client(server, pins=[pin])), server.gun)
    ((severity, text),) = _of(check_collection(look), "recovery")
    assert severity == "note"
    assert "needs its only key: if it is lost, nobody" in text
    assert _of(check_collection(look), "releases") == []


@pytest.mark.parametrize("wire", FORMATS.values(), ids=list(FORMATS))
def test_a_root_that_does_not_say_whose_it_is(wire: WireFormat) -> None:
    """No member in TUF 1.0, a certificate for a pattern of names in Notary v1."""
    named, old = siblings(wire), siblings(wire, named=False)
    assert list(check_name(_seen(named))) == []
    (finding,) = check_name(_seen(old))
    assert (finding.check, finding.severity, finding.place) == ("name", "note", APP)
    assert f"trust key rotate root {APP}" in str(finding.remedy)
    assert [text for _, text in _of(check_collection(_seen(old)), "name")] == [finding.text]
    refused = pinned(old.app, old.key)
    assert list(check_name(look_at(SimulatedSession(refused), APP))) == [], "the refusal says it"
    assert "pinned by a key alone" in check_briefly(look_at(SimulatedSession(refused), APP)).text


def _seen(pair: Siblings) -> Look:
    return look_at(SimulatedSession(pinned(pair.app, pair.fingerprint)), APP)


def test_a_look_leaves_no_refusal_out() -> None:
    scene = good_collection()
    scene.server.down = True
    look = _look(scene)
    assert [finding.severity for finding in check_collection(look)] == ["wrong"]
    assert list(check_expiry(look, scene.server.at)) == []


def test_a_check_that_fails_is_a_finding_and_ends_itself_only() -> None:
    good = Finding(check="x", severity="ok", text="fine")

    def refused() -> Iterator[Finding]:
        yield good
        raise ImageNotFound(image="a", registry="b", reason="c")

    def broken() -> Iterator[Finding]:
        yield good
        raise ZeroDivisionError("hunter2")

    first, second = guarded("x", refused)
    assert (first, second.severity, second.text) == (good, "wrong", "a does not exist in b: c")
    assert second.remedy == "check the name, or push the image first"
    first, second = guarded("x", broken)
    assert (first, second.severity) == (good, "wrong")
    assert "hunter2" not in second.text


@pytest.mark.parametrize(
    ("date", "severity"),
    [
        ("Sun, 01 Nov 2026 12:04:00 GMT", "ok"),
        ("Sun, 01 Nov 2026 11:54:00 GMT", "wrong"),
        ("Sun, 01 Nov 2026 12:06:00 GMT", "wrong"),
        ("", "note"),
        ("yesterday", "note"),
        ("Fri, 31 Dec 9999 23:59:59 -2359", "note"),
        ("1 Jan 99999999999999999999999 00:00:00 GMT", "note"),
    ],
)
def test_the_clock(date: str, severity: str) -> None:
    origin = Origin(scheme="http", host="a.example", port=80)
    response = Response(status=200, headers=[("Date", date)] if date else [], body=b"")
    at = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
    assert [f.severity for f in check_clock(Exchange(origin=origin, target="/", response=response), at)] == [severity]
    assert list(check_clock(Exchange(origin=origin, target="/"), at)) == []


def _jwt(claims: object) -> str:
    return f"x.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.y"


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (_jwt({"access": [{"type": "repository", "name": "a", "actions": ["pull"]}]}), {"a": {"pull"}}),
        (_jwt({"access": [{"type": "registry", "name": "catalog", "actions": ["*"]}]}), {}),
        (_jwt({"access": None}), {}),
        (_jwt({}), None),
        (_jwt({"access": 5}), None),
        (_jwt({"access": ["x"]}), None),
        (_jwt([]), None),
        ("opaque", None),
        ("a.!!.c", None),
        ("a.ä.c", None),
        ("", None),
    ],
)
def test_what_a_token_says_of_itself(token: str, expected: dict[str, set[str]] | None) -> None:
    assert granted(token) == expected
