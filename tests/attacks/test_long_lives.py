"""A timestamp or snapshot that lives longer than any honest server makes it: freeze material, from a clock that jumped.

Clients refuse it and name both clocks; owners see it and can publish what replaces it.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keys.record import replace
from tests.simulator.owner import Owner
from tests.simulator.scene import GOOD, NEWER, Scene, good_collection
from tests.simulator.session import SimulatedSession
from trustcli.config.settings import Settings
from trustcli.config.verifier_settings import VerifierSettings
from trustcli.doctor.expiry import check_expiry
from trustcli.doctor.look import look_at
from trustcli.hooks.admission import admit
from trustcli.registry.reference import parse_reference
from trustdata.errors import LivesTooLong, MetadataExpired, VersionRollback
from trustdata.lifetimes import UNLIMITED_LIFE, MaxLife
from trustdata.roles import SNAPSHOT, TIMESTAMP, RoleName
from trustdata.verification.trusted_set import TrustedSet
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

SECOND = timedelta(seconds=1)
LIMITS = [(TUF, TIMESTAMP, 45), (TUF, SNAPSHOT, 45), (NOTARY, TIMESTAMP, 60), (NOTARY, SNAPSHOT, 4 * 365)]
ONLINE_ROLES = [(wire, role) for wire, role, _ in LIMITS]


def signed_until(scene: Scene, role: RoleName, left: timedelta) -> None:
    """The online keys sign the role once more, valid for this long from now on."""
    until = scene.server.at + left
    change = lambda d: d.update(version=d["version"] + 1, expires=f"{until:%Y-%m-%dT%H:%M:%SZ}")  # noqa: E731
    scene.forger.alter(role, change)


def jumped(wire: WireFormat, role: RoleName) -> Scene:
    """A server whose clock was ten years ahead when it signed the role."""
    scene = good_collection(wire)
    signed_until(scene, role, timedelta(days=3653))
    return scene


@pytest.mark.parametrize(("wire", "role", "days"), LIMITS)
def test_the_limits_are_to_the_second(wire: WireFormat, role: RoleName, days: int) -> None:
    scene = good_collection(wire)
    signed_until(scene, role, timedelta(days=days))
    assert scene.newcomer().digest() == f"sha256:{GOOD}"
    signed_until(scene, role, timedelta(days=days) + SECOND)
    with pytest.raises(LivesTooLong) as refused:
        scene.newcomer().digest()
    assert (refused.value.role, refused.value.limit) == (role, days * 86400)
    assert f"the clock here, which says {scene.server.at:%Y-%m-%d %H:%M} UTC" in str(refused.value)


def test_the_limits_leave_room_for_honest_servers() -> None:
    for wire in (TUF, NOTARY):
        for role in (SNAPSHOT, TIMESTAMP):
            limit = wire.max_life.of(role)
            assert limit is not None
            assert limit > wire.lifetimes.of(role)
        assert wire.max_life.of("targets") is None


@pytest.mark.parametrize(("wire", "role"), ONLINE_ROLES)
def test_it_is_refused_with_and_without_memory_and_offline(wire: WireFormat, role: RoleName) -> None:
    scene = good_collection(wire)
    regular = scene.regular()
    signed_until(scene, role, timedelta(days=3653))
    for client in (regular, scene.newcomer()):
        assert type(client.judge().refusal) is LivesTooLong
    behind = scene.newcomer()
    behind.cache, behind.memory = regular.cache, regular.memory
    assert type(behind.judge().refusal) is LivesTooLong
    hook = scene.newcomer()
    hook.memory_required = True
    assert type(hook.judge().refusal) is LivesTooLong


def test_offline_a_clock_that_went_back_is_noticed_by_what_is_cached() -> None:
    """Without rollback memory of the refresh's time, the cached files say that the clock here is far behind."""
    scene = good_collection()
    client = scene.regular()
    known = client.memory.known[scene.server.gun]
    trusted = TrustedSet(
        gun=scene.server.gun, root=client.cache.roots()[0], wire=TUF, at=scene.server.at - timedelta(days=60)
    )
    trusted.update_root(client.cache.roots()[1])
    with pytest.raises(LivesTooLong):
        trusted.update_timestamp(scene.server.stored[TIMESTAMP].raw)
    assert known.refreshed == scene.server.at


@pytest.mark.parametrize(("wire", "role"), ONLINE_ROLES)
def test_a_refused_file_still_guards_against_older_ones(wire: WireFormat, role: RoleName) -> None:
    """Its signature is good, so its version counts; what the server signs next has a higher one."""
    scene = good_collection(wire)
    before = scene.server.copy()
    client = scene.newcomer()
    client.max_life = UNLIMITED_LIFE
    signed_until(scene, role, timedelta(days=3653))
    assert client.digest() == f"sha256:{GOOD}"
    client.max_life = None
    assert type(client.judge().refusal) is LivesTooLong, "in the cache as well"
    client.server = before
    assert type(client.judge().refusal) is VersionRollback
    client.memory.forget(before.gun)
    assert type(client.judge().refusal) is VersionRollback, "the cache alone"
    client.server = scene.server
    scene.server.issue()
    assert client.digest() == f"sha256:{GOOD}"


@pytest.mark.parametrize(("wire", "role"), ONLINE_ROLES)
def test_owners_see_it_and_what_they_publish_replaces_it(wire: WireFormat, role: RoleName) -> None:
    scene = jumped(wire, role)
    owner = scene.newcomer()
    roles = owner.collection().owner_roles()
    assert roles[role].expires - scene.server.at == timedelta(days=3653)
    (warning,) = owner.warnings
    assert f"{role} version {roles[role].version} is valid until" in warning
    assert type(scene.newcomer().judge().refusal) is LivesTooLong, "no image runs on it"
    Owner(scene.server).sign("1.0", NEWER)
    assert scene.newcomer().digest() == f"sha256:{NEWER}"


@pytest.mark.parametrize(("wire", "role"), ONLINE_ROLES)
def test_what_explain_and_verify_say(wire: WireFormat, role: RoleName) -> None:
    scene = jumped(wire, role)
    session = SimulatedSession(scene.newcomer(), as_json=True)
    assert session.run("explain", f"{scene.server.gun}:1.0") == 4
    told: dict[str, Any] = session.document()["explanation"]
    assert told["broke_at"] == role
    assert told["error"]["code"] == "lives-too-long"
    whats = [change["what"] for change in told["changes"]]
    assert whats[0].startswith(f"{role} version")
    assert "2026-11-01 12:00 UTC" in whats[1]
    verify = SimulatedSession(scene.newcomer())
    assert verify.run("verify", f"{scene.server.gun}:1.0") == 4
    assert "max_life in policy or trust.toml" in verify.stderr.getvalue()


@pytest.mark.parametrize(("wire", "role"), ONLINE_ROLES)
def test_doctor_says_so_before_clients_refuse_it(wire: WireFormat, role: RoleName) -> None:
    """A clock that was some days ahead makes what is still accepted, and is wrong all the same."""
    scene = good_collection(wire)
    signed_until(scene, role, wire.lifetimes.of(role) + timedelta(days=5))
    assert scene.newcomer().digest() == f"sha256:{GOOD}"
    look = look_at(SimulatedSession(scene.newcomer()), scene.server.gun)
    (finding,) = [found for found in check_expiry(look, scene.server.at) if found.severity == "wrong"]
    assert f"{role} version" in finding.text
    assert "the clock that signed it was ahead" in finding.text


# --- repositories of others


@pytest.mark.parametrize(("wire", "role"), ONLINE_ROLES)
def test_max_life_allows_it(wire: WireFormat, role: RoleName) -> None:
    scene = jumped(wire, role)
    for days, expected in ((3653, type(None)), (3652, LivesTooLong)):
        client = scene.newcomer()
        client.max_life = MaxLife.parse(f"{days}d")
        assert type(client.judge().refusal) is expected


@pytest.mark.parametrize("wire", [TUF, NOTARY])
def test_policy_and_settings_reach_verify_and_the_hooks(wire: WireFormat, tmp_path: Path) -> None:
    """The policy's limit counts before that of the settings."""
    scene = jumped(wire, TIMESTAMP)
    gun = scene.server.gun
    policy = tmp_path / "policy.toml"
    image = parse_reference(f"{gun}:1.0")
    for in_policy, in_settings, allowed in (("", "3653d", True), ("3653d", "1d", True), ("1d", "3653d", False)):
        limit = f'max_life = "{in_policy}"' if in_policy else ""
        policy.write_text(f'[[rule]]\nmatch = "{gun}"\n{limit}')
        session = SimulatedSession(scene.newcomer())
        session.settings = replace(
            session.settings, max_life={"*": MaxLife.parse(in_settings)}, verifier=VerifierSettings(policy=policy)
        )
        assert (session.run("verify", "--policy", str(policy), str(image)) == 0) is allowed
        try:
            said = admit(session, image, f"sha256:{GOOD}")
        except LivesTooLong:
            said = ""
        assert bool(said) is allowed


def test_max_life_does_not_allow_what_has_expired() -> None:
    scene = good_collection()
    client = scene.newcomer()
    client.max_life = UNLIMITED_LIFE
    client.at += timedelta(days=5)
    assert type(client.judge().refusal) is MetadataExpired


def test_the_most_specific_setting_counts(tmp_path: Path) -> None:
    lives = {"*": MaxLife.parse("1d"), "a.example.com/*": MaxLife.parse("2d"), "a.example.com/b": MaxLife.parse("3d")}
    settings = Settings(home=tmp_path, max_life=lives)
    scene = good_collection()
    found = {name: settings.max_life_for(name) for name in ("a.example.com/b", "a.example.com/c", "b.example.com/b")}  # type: ignore[arg-type]
    assert [found[name] for name in found] == [lives["a.example.com/b"], lives["a.example.com/*"], lives["*"]]
    assert Settings(home=tmp_path).max_life_for(scene.server.gun) is None


@pytest.mark.parametrize("value", ["", "0d", "forever", "-5d", 5, True, None])
def test_a_max_life_that_is_no_time(value: object) -> None:
    with pytest.raises(ValueError, match=r"400d|span of time"):
        MaxLife.parse(value)
