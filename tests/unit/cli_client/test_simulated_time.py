"""`trust explain --at`: what breaks on a day if nobody acts, in both formats, and that nothing is kept of it."""

from __future__ import annotations

import copy
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from keys.rfc3339 import to_rfc3339
from tests.simulator.client import Client
from tests.simulator.repository import APP
from tests.simulator.scene import GOOD, OLD, Scene, good_collection
from tests.simulator.session import SimulatedSession
from tests.support.json_documents import check_printed
from trustcli.commands.support.durations import time_option
from trustcli.console.exit_codes import DONE, NOT_SIGNED, NOT_TRUSTED, POLICY, UNREACHABLE
from trustcli.errors import UsageError
from trustdata.roles import ONLINE, RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

IMAGE = f"{APP}:1.0"
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture(params=[TUF, NOTARY], ids=lambda wire: wire.name)
def scene(request: pytest.FixtureRequest) -> Scene:
    return good_collection(request.param)


def state_of(client: Client) -> Any:
    """All that a machine keeps."""
    return copy.deepcopy((vars(client.cache), client.memory.known, client.recorded, [str(pin) for pin in client.pins]))


def simulated(client: Client, at: str, *options: str, image: str = IMAGE, keys: frozenset[str] = frozenset()) -> Any:
    """What is said of another time, with the exit status in `exit`; `keys`: which ones the server says that it has."""
    session = SimulatedSession(client, as_json=True, registry_digest=f"sha256:{GOOD}")
    session.server_keys = lambda gun: keys  # type: ignore[method-assign]
    kept = state_of(client)
    arguments = ("explain", image, "--at", at, *options)
    status = session.run(*arguments)
    document = check_printed(arguments, status, session.stdout.getvalue())
    assert state_of(client) == kept, "a simulation leaves no trace"
    told = session.stderr.getvalue()
    assert "this is a simulation of" in told
    return {**document["explanation"], "exit": status, "stderr": told}


def lines(client: Client, at: str, *options: str) -> str:
    session = SimulatedSession(client)
    session.server_keys = lambda gun: frozenset()  # type: ignore[method-assign]
    session.run("explain", IMAGE, "--at", at, *options)
    return session.stdout.getvalue()


def after(scene: Scene, role: str) -> str:
    """The instant at which a file of now expires."""
    return to_rfc3339({str(name): file.expires for name, file in scene.server.stored.items()}[role])


@pytest.mark.parametrize("client", ["newcomer", "regular"])
def test_a_day_on_which_everything_is_still_valid(scene: Scene, client: str) -> None:
    found = simulated(getattr(scene, client)(), "+1d")
    assert (found["exit"], found["trusted"]) == (DONE, True)
    assert found["at"] == to_rfc3339(scene.server.at + timedelta(days=1))
    told = found["simulation"]
    assert told["read_at"] == to_rfc3339(scene.server.at)
    assert {role["fate"] for role in told["roles"]} == {"valid"}
    assert [role["role"] for role in told["roles"]][:4] == [ROOT, TIMESTAMP, SNAPSHOT, TARGETS]
    assert told["without"] == ""
    assert (told["breaks_at"], told["breaks_role"]) == (after(scene, told["breaks_role"]), told["breaks_role"])
    assert told["breaks_role"] not in ONLINE
    assert {client["refusal"] for client in told["clients"]} == {""}


def test_what_the_server_renews_is_valid_and_would_not_be_without_it(scene: Scene) -> None:
    at = scene.server.at + scene.server.wire.lifetimes.timestamp
    found = simulated(scene.regular(), to_rfc3339(at), keys=frozenset(ONLINE))
    assert found["exit"] == DONE
    told = found["simulation"]
    assert told["server_renews"] == sorted(ONLINE)
    assert told["server_asked"] is True
    assert told["without"].startswith("timestamp version")
    fates = {role["role"]: role["fate"] for role in told["roles"]}
    assert fates[TIMESTAMP] == "renewed by the server"
    said = lines(scene.regular(), to_rfc3339(at))
    assert "no owner signs; the server goes on renewing snapshot and timestamp (whether it has the keys is not" in said
    assert "and if it signs nothing, either: timestamp version" in said


def test_a_snapshot_whose_key_the_server_does_not_have_runs_out() -> None:
    """As in Notary v1, where its owner may hold it."""
    scene = good_collection(NOTARY)
    at = max(after(scene, SNAPSHOT), after(scene, TARGETS), after(scene, RELEASES))
    found = simulated(scene.regular(), after(scene, SNAPSHOT), keys=frozenset({TIMESTAMP}))
    assert found["exit"] == NOT_TRUSTED
    assert found["broke_at"] == SNAPSHOT
    assert found["simulation"]["server_renews"] == [TIMESTAMP]
    assert simulated(scene.regular(), at, keys=frozenset(ONLINE))["broke_at"] == TARGETS


def test_the_owners_role_that_expires_first_breaks_it(scene: Scene) -> None:
    role = simulated(scene.regular(), "+1d")["simulation"]["breaks_role"]
    found = simulated(scene.regular(), after(scene, role))
    assert (found["exit"], found["trusted"], found["broke_at"]) == (NOT_TRUSTED, False, role)
    assert found["error"]["code"] == "metadata-expired"
    assert found["error"]["next"].endswith(f"for: trust renew {APP}")
    assert found["simulation"]["breaks_role"] == role
    fates = {each["role"]: each["fate"] for each in found["simulation"]["roles"]}
    assert fates[role] == "expired"
    assert fates[ROOT] == "valid"
    said = lines(scene.regular(), after(scene, role))
    assert re.search(f"^verdict +refused at {role}: ", said, re.MULTILINE)
    assert f"when {role} expires" in said


def test_docker_finds_an_old_image_where_the_releases_have_expired() -> None:
    scene = good_collection(NOTARY)
    scene.server.later(timedelta(days=1))
    scene.owner.renew(TARGETS)
    found = simulated(scene.regular(), after(scene, RELEASES), keys=frozenset(ONLINE))
    assert (found["exit"], found["broke_at"]) == (NOT_TRUSTED, RELEASES)
    (docker,) = found["simulation"]["clients"]
    assert docker["refusal"] == ""
    assert docker["note"].endswith(f"look in targets: there it is sha256:{OLD}")
    assert "would take it; they pass over targets/releases" in lines(scene.regular(), after(scene, RELEASES))


def test_what_is_refused_now_is_refused_then(scene: Scene) -> None:
    missing = simulated(scene.regular(), "+1d", image=f"{APP}:9.9")
    assert (missing["exit"], missing["error"]["code"]) == (NOT_SIGNED, "not-signed")
    assert missing["simulation"]["breaks_at"] is None
    unsigned = simulated(scene.regular(), "+1d", "--signer", "bob")
    assert unsigned["exit"] == POLICY
    assert {client["refusal"] for client in unsigned["simulation"]["clients"]} == {""}, "others ask for no signer"
    scene.server.down = True
    away = simulated(scene.newcomer(), "+1d")
    assert away["exit"] == UNREACHABLE
    assert away["simulation"]["roles"] == away["simulation"]["clients"] == []


def test_a_clock_that_is_ahead_is_seen_by_asking_about_the_right_time(scene: Scene) -> None:
    client = scene.newcomer()
    client.at = datetime(2099, 1, 1, tzinfo=UTC)
    session = SimulatedSession(client)
    assert session.run("explain", IMAGE) == NOT_TRUSTED
    found = simulated(client, to_rfc3339(scene.server.at))
    assert (found["exit"], found["trusted"]) == (DONE, True)
    assert found["simulation"]["server_renews"] == []
    assert "a clock that says so" in lines(client, to_rfc3339(scene.server.at))


def test_a_clock_that_is_behind_meets_files_that_live_too_long(scene: Scene) -> None:
    found = simulated(scene.newcomer(), "2001-01-01")
    assert (found["exit"], found["error"]["code"]) == (NOT_TRUSTED, "lives-too-long")
    assert found["simulation"]["clients"] == [
        {"client": "clients of others", "refusal": "", "note": "they have no such bound"}
    ]
    assert found["simulation"]["breaks_at"] is None


def test_without_at_nothing_is_simulated(scene: Scene) -> None:
    session = SimulatedSession(scene.regular(), as_json=True)
    assert session.run("explain", IMAGE) == DONE
    assert session.document()["explanation"]["simulation"] is None
    assert "simulation" not in session.stderr.getvalue()


def test_offline_nobody_is_asked(scene: Scene) -> None:
    client = scene.regular()
    scene.server.down = True
    found = simulated(client, "+1d", "--offline")
    assert (found["exit"], found["offline"]) == (DONE, True)
    assert found["simulation"]["server_asked"] is False


def test_an_exemption_of_the_policy_ends_on_its_day(scene: Scene, tmp_path: Path) -> None:
    """Rules are those of the day that is simulated, too."""
    until = to_rfc3339(scene.server.at + timedelta(days=2))
    policy = tmp_path / "policy.toml"
    rule = f'match = "*"\nmode = "audit"\nsigners = ["bob"]\nreason = "not yet"\nuntil = {until}\n'
    policy.write_text(f"version = 1\n[[rule]]\n{rule}")
    policy.chmod(0o600)
    found = simulated(scene.regular(), "+1d", "--policy", str(policy))
    assert (found["exit"], found["policy"]["mode"]) == (DONE, "audit")
    found = simulated(scene.regular(), "+3d", "--policy", str(policy))
    assert (found["exit"], found["policy"]["mode"]) == (POLICY, "enforce")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2027-12-01", datetime(2027, 12, 1, tzinfo=UTC)),
        ("2027-12-01T12:00:00Z", datetime(2027, 12, 1, 12, tzinfo=UTC)),
        ("2027-12-01T12:00:00+02:00", datetime(2027, 12, 1, 10, tzinfo=UTC)),
        ("+90d", NOW + timedelta(days=90)),
        ("+24h", NOW + timedelta(days=1)),
    ],
)
def test_how_a_time_is_written(text: str, meant: datetime) -> None:
    assert time_option(text, now=NOW) == meant
    assert time_option(text, now=NOW).utcoffset() == timedelta()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("tomorrow", "is no time: write 2027-12-01"),
        ("", "is no time"),
        ("+", "is no time"),
        ("+9999999d", "is no time"),
        ("-90d", "is no time"),
        ("2027-13-01", "is no time"),
        ("2027-12-01T12:00:00", "has no zone"),
        ("0001-01-01T00:00:00+23:00", "is no time"),
    ],
)
def test_what_is_no_time(text: str, wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong):
        time_option(text, now=NOW)
