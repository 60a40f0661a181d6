"""`trust expiring` over all collections: what is known here is verified, of the rest the server's word is told."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from keys.rfc3339 import to_rfc3339
from tests.simulator.home import Home, without_network
from tests.simulator.repository import APP
from tests.simulator.siblings import DEV, PATTERN, Siblings, first_root, siblings
from trustcli.console.exit_codes import DONE, NOT_TRUSTED, OTHER, REFUSED, UNREACHABLE
from trustcli.errors import UsageError
from trustdata.wire import WireFormat
from trustdata.wire.tuf import TUF

SERVER = {"server": "https://trust.example.com", "server_source": "--server"}
SET = {"server": "https://trust.example.com", "server_source": "TRUST_SERVER"}
FAR = "registry.example.com/far"


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch, wire: WireFormat) -> Siblings:
    without_network(monkeypatch)
    return siblings(wire)


@pytest.fixture
def home(tmp_path: Path, pair: Siblings) -> Home:
    """It has pinned one of two collections."""
    home = Home(tmp_path, pair.app, pair.dev)
    home.pin(APP, str(first_root(pair.app)))
    return home


def row(gun: str, **changes: Any) -> dict[str, Any]:
    """A row of the server's list."""
    plain = {"gun": gun, "format": "tuf-1.0", "status": "live", "revision": 1, "tags": 2, "bytes": 3}
    absent = dict.fromkeys(("published_at", "published_by", "expires", "expires_role", "deleted"))
    return {**plain, **absent, "owner_expires": None, "owner_expires_role": None, **changes}


def owned(gun: str, expires: datetime, role: str = "targets") -> dict[str, Any]:
    return row(gun, owner_expires=to_rfc3339(expires), owner_expires_role=role)


def document(home: Home, *arguments: str, expect: int, **settings: Any) -> Any:
    assert home.run("expiring", *arguments, json=True, **settings) == expect, home.err
    return json.loads(home.out)


def test_soon_and_expired_have_statuses_of_their_own(home: Home) -> None:
    assert home.run("expiring", "--within", "1d") == DONE
    assert "nothing runs out within 1d in 1 collection" in home.err
    assert home.run("expiring", "--within", "9000d") == OTHER
    home.at += timedelta(days=9000)
    home.sites[APP].later(timedelta(days=9000))
    home.sites[APP].issue()
    assert home.run("expiring", "--within", "1d") == NOT_TRUSTED
    assert "targets 2  1 of:" in home.out


def test_what_is_known_here_is_verified_and_the_rest_is_told_as_the_servers_word(home: Home) -> None:
    home.listed = [owned(DEV, home.at + timedelta(days=5)), owned(APP, home.at - timedelta(days=1))]
    home.listed.sort(key=lambda each: each["gun"])
    found = document(home, "--all", "--within", "9000d", expect=OTHER, **SET)
    assert {each["gun"] for each in found["expiring"]} == {APP}
    assert all(not each["expired"] for each in found["expiring"]), "a server's lie about it counts for nothing"
    assert found["told"] == [
        {
            "gun": DEV,
            "role": "targets",
            "expires": to_rfc3339(home.at + timedelta(days=5)),
            "days_left": 4 if home.at.microsecond else 5,
            "expired": False,
            "duty": "owner",
            "server": "https://trust.example.com",
        }
    ]
    assert found["servers"] == [{"server": SET["server"], "collections": 2, "error": None}]
    assert found["collections"] == 2
    assert DEV not in home.asked, "it is not read, since nothing here says where trust in it begins"
    assert home.session().pins.load().keys() == {APP}
    assert home.run("expiring", "--all", "--within", "9000d", **SET) == OTHER
    assert f"{DEV}  targets  https://trust.example.com says so: nothing here says where trust in it begins" in home.out


def test_a_pattern_that_fits_has_what_is_listed_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_network(monkeypatch)
    pair = siblings(TUF)
    home = Home(tmp_path, pair.app, pair.dev)
    home.pin(PATTERN, str(pair.key))
    home.listed = [owned("a.invalid/x", home.at), owned(APP, home.at), owned(DEV, home.at)]
    found = document(home, "--all", "--within", "9000d", expect=NOT_TRUSTED, **SET)
    assert {each["gun"] for each in found["expiring"]} == {APP, DEV}
    assert [each["gun"] for each in found["told"]] == ["a.invalid/x"]


def test_a_server_that_is_named_is_asked_what_it_has(home: Home) -> None:
    home.listed = [owned(FAR, home.at + timedelta(days=5))]
    assert [each["gun"] for each in document(home, expect=OTHER, **SERVER)["told"]] == [FAR]
    assert document(home, expect=DONE, **SET)["servers"] == [], "one that is set for all runs is not"
    assert document(home, APP, expect=DONE, **SERVER)["servers"] == [], "nor if names are typed"
    with pytest.raises(UsageError, match="name none beside it"):
        home.run("expiring", "--all", APP)


def test_how_far_it_is_looked_ahead_in_a_list(home: Home) -> None:
    soon, late = home.at + timedelta(days=10), home.at + timedelta(days=10, seconds=2)
    home.listed = [
        owned("r.invalid/a", soon, "root"),
        owned("r.invalid/b", late, "root"),
        row("r.invalid/c", expires=to_rfc3339(home.at + timedelta(days=1)), expires_role="timestamp"),
        row("r.invalid/d", expires=to_rfc3339(home.at - timedelta(days=1)), expires_role="timestamp"),
        row("r.invalid/e", deleted={"at": "2026-11-01T00:00:00Z", "by": "x", "root": "sha256:ab"}, status="deleted"),
        {
            **owned("r.invalid/f", home.at - timedelta(days=9)),
            "expires": to_rfc3339(home.at),
            "expires_role": "targets",
        },
    ]
    found = document(home, "--all", "--within", "10d", expect=NOT_TRUSTED, **SET)["told"]
    assert [(each["gun"], each["role"], each["duty"], each["expired"]) for each in found] == [
        ("r.invalid/f", "targets", "owner", True),
        ("r.invalid/d", "timestamp", "server", True),
        ("r.invalid/a", "root", "owner", False),
    ]


def test_a_server_that_does_not_list_hides_nothing_that_is_known_here(home: Home) -> None:
    found = document(home, "--all", "--within", "9000d", expect=REFUSED, **SET)
    assert {each["gun"] for each in found["expiring"]} == {APP}
    assert found["servers"][0]["error"]["code"]
    assert home.run("expiring", "--all", "--within", "1d", **SET) == REFUSED
    assert "refused (403)" in home.err
    assert "nothing runs out within 1d in 1 collection; 1 trust server did not say what else there is" in home.err


def test_all_pages_of_a_long_list_are_told(home: Home) -> None:
    home.listed = [owned(f"r.invalid/{number:05}", home.at + timedelta(days=1)) for number in range(2500)]
    found = document(home, "--all", "--within", "2d", expect=OTHER, **SET)
    assert (len(found["told"]), found["servers"][0]["collections"]) == (2500, 2500)


def test_a_list_with_no_time_in_it(home: Home) -> None:
    home.listed = [row(FAR, owner_expires="tomorrow", owner_expires_role="root")]
    found = document(home, "--all", expect=UNREACHABLE, **SET)
    assert "says of registry.example.com/far that it expires at tomorrow" in found["servers"][0]["error"]["message"]


def test_without_pins_and_servers_there_is_nothing_to_look_at(tmp_path: Path, pair: Siblings) -> None:
    home = Home(tmp_path / "empty", pair.app)
    home.folder.mkdir()
    assert document(home, "--all", expect=DONE)["collections"] == 0
    assert "no collection is known here by a pin" in home.err
    assert home.run("expiring", "--all", **SET) == REFUSED
    assert "no collection could be looked at" in home.err
    home.listed = []
    assert home.run("expiring", "--all", **SET) == DONE


def test_a_calendar_is_written_beside_the_list(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "expiry.ics"
    home.listed = [owned(FAR, home.at + timedelta(days=5))]
    assert home.run("expiring", "--all", "--within", "9000d", "--ics", str(file), **SET) == OTHER
    text = file.read_bytes().decode().replace("\r\n ", "")
    assert text.count("BEGIN:VEVENT") == len(home.out.splitlines()) == 3
    assert f"SUMMARY:targets of {FAR} expires\r\n" in text
    assert f"SUMMARY:root of {APP} expires\r\n" in text
    assert "https://trust.example.com says so" in text.replace("Https", "https")
    before = [line for line in text.splitlines() if line.startswith("UID:")]
    home.at += timedelta(days=1)
    assert home.run("expiring", "--all", "--within", "9000d", "--ics", str(file), **SET) == OTHER
    assert before == [line for line in file.read_text().splitlines() if line.startswith("UID:")]


def test_a_calendar_that_cannot_be_written_is_wrong_usage(home: Home, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--ics: .* cannot be written: No such file"):
        home.run("expiring", "--ics", str(tmp_path / "none" / "expiry.ics"))


def test_a_clock_that_is_off_is_told(home: Home) -> None:
    home.sites[APP].told_time = home.at + timedelta(days=3)
    assert home.run("expiring", "--within", "1d") == DONE
    assert "the clock here is 3 days behind that of" in home.err
    home.sites[APP].told_time = home.at + timedelta(minutes=1)
    home.run("expiring", "--within", "1d")
    assert "clock" not in home.err
