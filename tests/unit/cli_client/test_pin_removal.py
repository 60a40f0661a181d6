"""`trust pin --remove`: what was pinned is taken out, and what counts from now on is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from keys.record import replace
from tests.simulator.home import Home, without_network
from tests.simulator.repository import APP
from tests.simulator.scene import good_collection
from trustcli.console.exit_codes import DONE, NOT_TRUSTED
from trustcli.errors import SettingsUnusable, UsageError
from trustcli.state.pins import PatternPin
from trustdata.roles import ROOT

PATTERN = f"{APP.rpartition('/')[0]}/*"
WIDER = f"{APP.partition('/')[0]}/*"


@pytest.fixture
def pin() -> str:
    server = good_collection().server
    return f"sha256:{server.wire.parse(ROOT, server.files['1.root.json']).sha256}"


@pytest.fixture
def key() -> str:
    server = good_collection().server
    return f"key:{server.wire.parse(ROOT, server.files['1.root.json']).root.roles[ROOT].keyids[0]}"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pin: str) -> Home:
    """A machine on which the collection is pinned and was verified."""
    without_network(monkeypatch)
    monkeypatch.chdir(tmp_path)  # trust lock writes into the current folder
    home = Home(tmp_path, good_collection().server)
    assert home.pin(APP, pin) == DONE
    assert home.run("verify", f"{APP}:1.0") == DONE
    return home


def test_a_name_that_nothing_else_pins_is_refused_from_now_on(home: Home, pin: str) -> None:
    assert home.pin(APP, "--remove", "--yes") == DONE
    assert home.out == f"{APP}: the pin {pin} was removed\n"
    pinned, remembered = home.err.splitlines()
    assert pinned == f"{APP} is pinned nowhere now, and refused until: trust pin {APP} REF"
    assert remembered.startswith(f"what was verified of {APP} here is remembered; ")
    assert home.run("verify", f"{APP}:1.0") == NOT_TRUSTED
    assert home.session().memory.load(APP) is not None
    assert home.pin(APP, pin) == DONE


def test_what_pins_the_name_still_is_told(home: Home, pin: str, key: str) -> None:
    assert home.pin(PATTERN, key) == DONE
    assert home.run("lock", APP) == DONE
    locked = home.session().locks[APP]
    home.run("pin", APP, "--remove", "--yes", json=True)
    told = json.loads(home.out)
    source = f"{PATTERN} in {home.folder / 'pins.toml'}"
    assert (told["gun"], told["removed"]) == (APP, pin)
    assert told["left"] == [{"pin": key, "source": source}, {"pin": str(locked.entry.root), "source": locked.source}]
    assert f"{APP} is still pinned: {key} ({source}); {locked.entry.root} ({locked.source})\n" in home.err
    assert APP in home.session().locks, "the lock file stays as it is"


def test_a_pattern_names_what_it_leaves_unpinned(home: Home, key: str) -> None:
    for pattern in (PATTERN, WIDER):
        assert home.pin(pattern, key) == DONE
    assert home.pin(WIDER, "--remove", "--yes") == DONE
    assert home.err == "no name that was verified here was pinned by it\n"
    assert home.pin(WIDER, key) == home.pin(APP, "--remove", "--yes") == DONE
    assert home.pin(PATTERN, "--remove", "--yes") == DONE
    assert home.err.startswith("1 name verified here had this pin; another counts")
    home.run("pin", WIDER, "--remove", "--yes", json=True)
    assert json.loads(home.out)["unpinned"] == [APP]
    assert home.err == f"pinned nowhere now, and refused until each is pinned (trust pin NAME REF): {APP}\n"
    pins = home.session().pins
    assert (pins.load(), pins.patterns()) == ({}, {})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((APP, "--remove"), f"nothing was removed; to remove the pin of {APP} without being asked: --yes"),
        ((f"{APP}s", "--remove", "-y"), f"has no pin of {APP}s; did you mean '{APP}'?"),
        ((PATTERN, "--remove", "-y"), f"has no pattern {PATTERN}"),
        ((APP, "sha256:" + "a" * 64, "--remove"), "leave REF, --format, --named and --replace out"),
        ((APP, "--remove", "--replace"), "leave REF, --format, --named and --replace out"),
        ((APP,), "sha256:HEX|key:HEX is missing"),
    ],
)
def test_what_removes_nothing(home: Home, pin: str, arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        home.pin(*arguments)
    assert words in str(caught.value)
    assert [str(entry.pin) for entry in home.session().pins.load().values()] == [pin]


def test_a_pin_that_was_changed_meanwhile_stays(home: Home, key: str) -> None:
    pins = home.session().pins
    home.pin(PATTERN, key)
    with pytest.raises(SettingsUnusable, match="was changed meanwhile"):
        pins.remove(APP, replace(pins.load()[APP], how="tofu"))
    stated = pins.patterns()[PATTERN]
    with pytest.raises(SettingsUnusable, match="was changed meanwhile"):
        pins.remove_pattern(PATTERN, PatternPin(pin=pins.load()[APP].pin, recorded=stated.recorded))
    assert list(pins.load()) == [APP]
    assert list(pins.patterns()) == [PATTERN]
