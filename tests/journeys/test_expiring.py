"""Nothing expires unnoticed: `trust expiring` and `trust renew`, on collections that have grown old."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.journeys.late_client import LateUser
from tests.support.images import build_image
from tests.support.programs import RunningProgram, push
from tests.support.server_process import ServerProcess
from tests.support.trust_program import SECRETS, TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

ONLINE = frozenset({"snapshot", "timestamp"})
ENOUGH = 50_000
"""Reads, of which each takes long enough that the server has renewed by then."""
NO_PASSPHRASES = dict.fromkeys(SECRETS, "")


class Town:
    """A server, an owner of two collections, and alice, who signs in the first; all of them can grow older."""

    def __init__(self, folder: Path, registry: RunningProgram) -> None:
        self.server = ServerProcess(folder / "data")
        self.app, self.tool = f"{registry.netloc}/app", f"{registry.netloc}/tool"
        self.server.start()
        self._owner, self._alice = (TrustUser(folder / name, self.server.url) for name in ("owner", "alice"))
        self.days = 0.0
        image = build_image(folder / "image", text="hello")
        push(image, registry, "app", "1.0")
        push(image, registry, "tool", "1.0")
        for gun in (self.app, self.tool):
            self._owner.run("init", gun, "--no-recovery-key")
            self._owner.run("sign", f"{gun}:1.0")
        self._alice.run("key", "generate", "alice")
        public = str(self._alice.folder / "alice.pub")
        self._owner.run("signer", "add", "alice", self.app, "--key", public)
        self._alice.knows(self.app, self._owner.pin_of(self.app))
        self._alice.run("sign", f"{self.app}:1.0")

    @property
    def owner(self) -> TrustUser:
        return LateUser(self._owner, self.days)

    @property
    def alice(self) -> TrustUser:
        return LateUser(self._alice, self.days)

    def grow_older(self, days: int) -> None:
        """The server, too, which then does its own duty."""
        files = [f"/tuf/{gun}/metadata/timestamp.json" for gun in (self.app, self.tool)]
        before = [self.server.get(file)[1] for file in files]
        self.server.stop()
        self.server.program = ("tests.journeys.late_server", "serve")
        self.server.start(environ={"DAYS": str(days)})
        self.days = days
        for user in (self._owner, self._alice):
            user.environ["TRUST_SERVER"] = self.server.url
        for file, old in zip(files, before, strict=True):  # so that no later renewal moves the versions
            assert any(self.server.get(file)[1] != old for _ in range(ENOUGH)), self.server.log()

    def versions(self, gun: str) -> dict[str, int]:
        return dict(json.loads(self.server.get(f"/api/v1/collections/{gun}")[1])["versions"])

    def offline_versions(self, gun: str) -> dict[str, int]:
        """Without the roles that the server signs again whenever it finds them due."""
        return {role: version for role, version in self.versions(gun).items() if role not in ONLINE}

    def signed(self, gun: str, role: str) -> Any:
        version = self.versions(gun)[role]
        return json.loads(self.server.get(f"/tuf/{gun}/metadata/{version}.{quote(role, safe='')}.json")[1])["signed"]

    def content(self, gun: str) -> dict[str, Any]:
        """All that a role says, but version and expiry."""
        return {
            role: {k: v for k, v in self.signed(gun, role).items() if k not in {"version", "expires"}}
            for role in self.offline_versions(gun)
        }


@pytest.fixture
def town(tmp_path: Path, registry: RunningProgram) -> Iterator[Town]:
    town = Town(tmp_path, registry)
    yield town
    town.server.kill()


def rows(document: Any) -> list[tuple[str, str, bool]]:
    return [(row["gun"].rpartition("/")[2], row["role"], row["renewable"]) for row in document["expiring"]]


def test_from_the_first_warning_to_the_next_year(town: Town) -> None:
    """Owner and alice each renew what they can sign; nothing but versions and dates changes."""
    town.grow_older(300)
    fresh = town.owner.run("--json", "expiring", "--within", "30d").document()
    assert (fresh["expiring"], fresh["failures"], fresh["collections"]) == ([], [], 2)
    town.owner.run("expiring", "--within", "30d").said("nothing runs out within 30d in 2 collections")

    listed = town.owner.run("--json", "expiring", expect=1).document()
    assert sorted(rows(listed)) == [
        ("app", "targets", True),
        ("app", "targets/alice", False),
        ("app", "targets/releases", True),
        ("tool", "targets", True),
    ]
    dates = [row["expires"] for row in listed["expiring"]]
    assert dates == sorted(dates)
    assert {row["days_left"] for row in listed["expiring"]} <= {64, 65}
    (hers,) = [row for row in listed["expiring"] if row["role"] == "targets/alice"]
    assert [(key["place"], key["holders"]) for key in hers["keys"]] == [("elsewhere", ["alice"])]
    said = town.owner.run("expiring", expect=1).said(f"trust renew --within 90d {town.app} {town.tool}")
    assert "targets/alice 1  1 of: " in said.stdout
    assert "not here; it is a key of: alice" in said.stdout
    assert sorted(rows(town.alice.run("--json", "expiring", expect=1).document())) == [
        ("app", "targets", False),
        ("app", "targets/alice", True),
        ("app", "targets/releases", True),
    ]

    before, content = town.versions(town.app), town.content(town.app)
    plan = town.owner.run("--json", "renew", town.app, "--plan", expect=8, **NO_PASSPHRASES).document()["plans"][0]
    planned = {role["role"]: role["version_after"] for role in plan["roles"]}
    assert plan["tags"] == plan["keys"] == plan["delegations"] == plan["released"] == []
    assert town.versions(town.app) == before
    renewed = town.owner.run("--json", "renew", town.app, expect=8)
    renewed.said("for targets/alice of ", "who can renew it: alice")
    (row,) = renewed.document()["collections"]
    assert sorted(item["role"] for item in row["renewed"]) == ["targets", "targets/releases"]
    assert [(item["role"], item["keys"][0]["holders"]) for item in row["left"]] == [("targets/alice", ["alice"])]
    assert town.versions(town.app) == {**before, **planned}
    assert set(planned) == {"targets", "targets/releases", "snapshot", "timestamp"}
    assert town.content(town.app) == content
    assert town.signed(town.app, "targets")["expires"] > dates[-1]

    said = town.alice.run("renew", town.app)
    assert "targets/alice 1 -> 2, expires " in said.stdout
    assert town.content(town.app) == content
    town.alice.run("renew", town.app).said("nothing is due")
    town.owner.run("expiring", town.app, "--within", "364d", expect=0)


def test_expired_offline_roles_come_back(town: Town) -> None:
    """Listable, renewed by one command, root too; clients accept them again."""
    town.grow_older(800)
    town.owner.run("verify", f"{town.tool}:1.0", expect=4).said("expired")
    listed = town.owner.run("--json", "expiring", town.tool, "--within", "1d", expect=4).document()
    assert [(row["role"], row["expired"], row["days_left"] < 0) for row in listed["expiring"]] == [
        ("targets", True, True),
        ("root", True, True),
    ]
    assert "expired 435 days ago" in town.owner.run("expiring", town.tool, expect=4).stdout
    content = town.content(town.tool)
    said = town.owner.run("renew", town.tool)
    assert f"{town.tool}: root 1 -> 2, expires " in said.stdout
    newest = "has expired; make sure that it is the newest"
    said.said(f"{town.tool}: root version 1 {newest}\n", f"targets version 2 {newest}, for it lists 1.0\n")
    assert newest not in town.owner.run("renew", town.tool, "--all").stderr
    assert town.content(town.tool) == content
    town.owner.run("verify", f"{town.tool}:1.0")


def test_what_only_others_can_renew_keeps_clients_out(town: Town) -> None:
    """Alice's key is worth nothing against an expired root: not trusted is worse than a missing key."""
    town.grow_older(800)
    renewed = town.alice.run("--json", "renew", town.app, expect=4)
    renewed.said("for root of ", "who can renew it: root", "for targets of ", "who can renew it: repository")
    (row,) = renewed.document()["collections"]
    assert sorted(item["role"] for item in row["renewed"]) == ["targets/alice", "targets/releases"]
    assert {error["code"] for error in row["errors"]} == {"key-not-found", "metadata-expired"}
    assert town.alice.run("--json", "renew", town.app, "--plan", expect=8).document()["plans"][0]["note"]


def test_every_pinned_name(town: Town) -> None:
    """Each by itself; asked for first, and never where nobody can be asked."""
    town.grow_older(300)
    before = town.offline_versions(town.tool)
    town.owner.run("renew", expect=2).said("nothing was renewed", "all 2 pinned collections", "--yes")
    assert town.offline_versions(town.tool) == before
    plans = town.owner.run("renew", "--plan", expect=8)
    assert plans.stdout.splitlines()[-1] == "2 plans: 1 can be carried out, 1 cannot"
    document = town.owner.run("--json", "renew", "--yes", expect=8).document()
    assert [len(row["renewed"]) for row in document["collections"]] == [2, 1]
    assert town.versions(town.tool)["targets"] == before["targets"] + 1


def test_all_and_within(town: Town) -> None:
    before = town.offline_versions(town.tool)
    town.owner.run("renew", town.tool).said("nothing is due")
    assert town.offline_versions(town.tool) == before
    town.owner.run("renew", town.tool, "--within", "366d")
    assert town.versions(town.tool)["targets"] == before["targets"] + 1
    assert town.versions(town.tool)["root"] == 1
    town.owner.run("renew", town.tool, "--all")
    assert town.versions(town.tool)["root"] == 2
    town.owner.run("verify", f"{town.tool}:1.0")
    town.owner.run("renew", town.tool, "--all", "--within", "9d", expect=2).said("contradict each other")


def test_a_server_that_is_late(town: Town) -> None:
    """Online roles are listed only then: here the client's clock is ahead of a server that sees no reason to renew."""
    assert town.owner.run("--json", "expiring", "--within", "20d").document()["expiring"] == []
    town.days = 2
    late = town.owner.run("--json", "expiring", town.tool, "--within", "1d", expect=1).document()["expiring"]
    assert [(row["role"], row["duty"], row["renewable"]) for row in late] == [("timestamp", "server", False)]
    assert "the server is late with it" in town.owner.run("expiring", town.tool, "--within", "1d", expect=1).stdout


def test_names_that_cannot_be_looked_at(town: Town) -> None:
    """Each is reported, the others are listed, and the worst status wins."""
    town.grow_older(300)
    unknown = f"{town.tool}-none"
    listed = town.owner.run("--json", "expiring", unknown, town.tool, expect=3)
    assert rows(listed.document()) == [("tool", "targets", True)]
    assert [(row["gun"], row["error"]["code"]) for row in listed.document()["failures"]] == [(unknown, "no-trust-data")]
    town.owner.run("--server", "http://127.0.0.1:1", "expiring", expect=6).said("cannot be reached")
    town.owner.run("--server", "http://127.0.0.1:1", "renew", town.tool, expect=6).said("cannot be reached")
    renewed = town.owner.run("--json", "renew", unknown, town.tool, expect=3).document()
    assert [(row["state"], len(row["renewed"]), len(row["errors"])) for row in renewed["collections"]] == [
        ("failed", 0, 1),
        ("not tried", 0, 0),
    ]


def test_all_that_a_server_has(town: Town, tmp_path: Path) -> None:
    """Who knows a collection verifies it; a stranger has the server's word, and a calendar of it."""
    verified = town.owner.run("--json", "expiring", "--all", "--within", "4000d", expect=1).document()
    assert (verified["told"], verified["collections"]) == ([], 2)
    assert [server["collections"] for server in verified["servers"]] == [2]
    stranger = TrustUser(tmp_path / "stranger", "")
    calendar = tmp_path / "expiry.ics"
    named = ("--server", town.server.url, "expiring", "--within", "4000d", "--ics", str(calendar))
    told = stranger.run("--json", *named, expect=1).document()
    assert (told["expiring"], told["collections"]) == ([], 2)
    first = {
        row["gun"]: min(each["expires"] for each in verified["expiring"] if each["gun"] == row["gun"])
        for row in told["told"]
    }
    assert {row["gun"]: row["expires"] for row in told["told"]} == first
    assert calendar.read_text().count("BEGIN:VEVENT") == 2
    assert "so there is nothing to look at" in stranger.run("expiring").stderr


def test_whatever_is_due_and_ours(town: Town) -> None:
    """As from cron: nobody is asked, and what alice must renew is told and no failure."""
    town.grow_older(300)
    content, before = town.content(town.app), town.offline_versions(town.tool)
    plan = town.owner.run("renew", "--due", "--plan", expect=0, **NO_PASSPHRASES)
    assert plan.stdout.splitlines()[-1] == "2 plans: 2 can be carried out, 0 cannot"
    renewed = town.owner.run("--json", "renew", "--due")
    renewed.said(f"{town.app}: targets/alice 1 expires ", "not here; it is a key of: alice")
    assert [(row["state"], len(row["renewed"]), len(row["left"])) for row in renewed.document()["collections"]] == [
        ("done", 2, 1),
        ("done", 1, 0),
    ]
    assert town.content(town.app) == content
    assert town.offline_versions(town.tool)["targets"] == before["targets"] + 1
    assert "targets/alice 1 -> 2, expires " in town.alice.run("renew", "--due").stdout
    town.alice.run("renew", "--due").said("nothing is due")


def test_what_breaks_on_a_day_if_nobody_acts(town: Town) -> None:
    """The real server says which keys it has; nothing on this machine changes."""
    image = f"{town.tool}:1.0"
    town.owner.run("verify", image)
    kept = {file: file.read_bytes() for file in town.owner.home.rglob("*") if file.is_file()}
    fine = town.owner.run("--json", "explain", image, "--at", "+300d").document()["explanation"]
    assert (fine["trusted"], fine["simulation"]["server_renews"]) == (True, ["snapshot", "timestamp"])
    assert fine["simulation"]["server_asked"] is True
    assert fine["simulation"]["breaks_role"] == "targets"
    broken = town.owner.run("--json", "explain", image, "--at", fine["simulation"]["breaks_at"], expect=4)
    assert broken.document()["explanation"]["broke_at"] == "targets"
    broken.said("this is a simulation of ", "targets version 2 expired")
    assert {file: file.read_bytes() for file in town.owner.home.rglob("*") if file.is_file()} == kept
    town.owner.run("verify", image)
    town.owner.run("explain", image, "--at", "some day", expect=2).said("is no time")
