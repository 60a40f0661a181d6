"""Several names, and something stops it: what was done is said, and the others are not tried (ADR 0067)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keys.errors import PassphraseWrong
from tests.simulator.home import Home, without_network
from tests.simulator.repository import RepositorySimulator
from tests.support.cheap_keys import sealing_cheaply
from tests.support.prepared_homes import PreparedHomes
from trustcli.console.exit_codes import DONE, INTERRUPTED, KEYS, OTHER, REFUSED, UNREACHABLE
from trustcli.errors import RemoteRefused, RemoteUnreachable
from trustdata.gun import parse_gun
from trustdata.roles import ROOT
from trustdata.wire.tuf import TUF

NAMES = [parse_gun(f"registry.example.com/{letter}") for letter in "abc"]
SERVER = "https://trust.example.com"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared_homes: PreparedHomes) -> Home:
    without_network(monkeypatch)
    sealing_cheaply(monkeypatch)
    return prepared_homes.home(tmp_path, "stopped halfway", owner)


def owner(folder: Path) -> Home:
    home = Home(folder, *(RepositorySimulator(gun=name, wire=TUF) for name in NAMES))
    home.environ = {"TRUST_ROOT_PASSPHRASE": "root-secret", "TRUST_REPOSITORY_PASSPHRASE": "repository-secret"}
    assert home.run("init", *NAMES, "--no-recovery-key") == DONE
    return home


def fails(error: BaseException) -> Callable[[], None]:
    def stop() -> None:
        raise error

    return stop


def refused(status: int) -> RemoteRefused:
    return RemoteRefused(remote=SERVER, status=status, reason="no")


def document(home: Home) -> Any:
    return json.loads(home.out)


@pytest.mark.parametrize(
    ("error", "status", "states"),
    [
        (KeyboardInterrupt(), INTERRUPTED, ["done", "failed", "not tried"]),
        (PassphraseWrong(key="x"), KEYS, ["done", "failed", "not tried"]),
        (refused(401), REFUSED, ["done", "failed", "not tried"]),
        (refused(403), REFUSED, ["done", "failed", "done"]),
        (RemoteUnreachable(remote=SERVER, reason="no answer"), UNREACHABLE, ["done", "failed", "done"]),
        (ZeroDivisionError(), OTHER, ["done", "failed", "not tried"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
@pytest.mark.parametrize(
    "command", [("key", "rotate", "targets", "--jobs", "1"), ("renew", "--all")], ids=lambda words: " ".join(words[:3])
)
def test_what_was_done_is_said(
    *, home: Home, command: tuple[str, ...], error: BaseException, status: int, states: list[str]
) -> None:
    home.sites[NAMES[1]].before_publish = fails(error)
    assert home.run(*command, *NAMES, json=True) == status
    told = document(home)
    assert [row["state"] for row in told["collections"]] == states
    assert [row["error"] is None for row in told["collections"]] == [state != "failed" for state in states]
    assert told["error"] == told["collections"][1]["error"]
    assert told["exit"] == status
    assert "3 collections: " in home.err
    assert ("c: not tried" in home.err) == (states[2] == "not tried")


def test_an_interrupted_check_has_done_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: site.stored[ROOT].version for name, site in home.sites.items()}
    monkeypatch.setattr(home.sites[NAMES[2]], "fetch", lambda *_, **__: fails(KeyboardInterrupt())())
    assert home.run("key", "rotate", "root", *NAMES, json=True) == INTERRUPTED
    assert [row["state"] for row in document(home)["collections"]] == ["not tried"] * 3
    assert {name: site.stored[ROOT].version for name, site in home.sites.items()} == before


def test_an_interrupted_rotation_goes_on_and_marks_what_it_replaced(home: Home) -> None:
    """One root key serves the three: it is marked once none of them names it, and only one new one is made."""
    home.sites[NAMES[1]].before_publish = fails(KeyboardInterrupt())
    assert home.run("key", "rotate", "root", "--jobs", "1", *NAMES) == INTERRUPTED
    home.sites[NAMES[1]].before_publish = None
    keys = [info for info in home.session().keystore.list() if info.purpose == "root"]
    assert [info.retired for info in keys] == [False, False], "two collections still name the old one"
    assert home.run("key", "rotate", "root", *NAMES, json=True) == DONE
    assert [row["state"] for row in document(home)["collections"]] == ["nothing to do", "done", "done"]
    assert [site.stored[ROOT].version for site in home.sites.values()] == [2, 2, 2]
    keys = [info for info in home.session().keystore.list() if info.purpose == "root"]
    assert sorted(info.retired for info in keys) == [False, True]


def test_a_rotation_that_was_killed_before_it_marked(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the publish, before the mark: the same command marks, and rotates no second time."""
    first = NAMES[0]
    monkeypatch.setattr("trustcli.commands.key.rotation.keys_in_use", lambda *_, **__: fails(KeyboardInterrupt())())
    assert home.run("key", "rotate", "targets", first) == INTERRUPTED
    monkeypatch.undo()
    without_network(monkeypatch)
    assert home.sites[first].stored[ROOT].version == 2
    assert not any(info.retired for info in home.session().keystore.list())
    assert home.run("key", "rotate", "targets", first, json=True) == DONE
    assert document(home)["collections"][0]["state"] == "nothing to do"
    assert document(home)["rotated"] == []
    assert home.sites[first].stored[ROOT].version == 2
    assert [info.gun for info in home.session().keystore.list() if info.retired] == [first]
    assert home.run("key", "rotate", "targets", first) == DONE
    assert home.sites[first].stored[ROOT].version == 3


def test_passphrases_are_asked_for_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Asked:
        def __call__(self, *, purpose: str, key: str, new: bool, retry: bool) -> str:
            del retry
            asked.append(f"{purpose} {'new' if new else key}")
            return f"{'repository' if purpose == 'targets' else purpose}-secret"

    monkeypatch.setattr("trustcli.console.prompt.TerminalPrompt", Asked)
    home.environ = {}
    assert home.run("key", "rotate", "targets", *NAMES, non_interactive=False) == DONE
    assert sorted(asked) == sorted({*asked}), "no key twice"
    assert asked.count("targets new") == 1
