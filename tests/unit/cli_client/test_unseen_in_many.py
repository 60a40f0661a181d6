"""What is signed again in many collections at once is seen before, and nothing else is signed (ADR 0122)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.home import Home
from tests.simulator.scene import EVIL, NEWER
from tests.support.prepared_homes import PreparedHomes
from tests.support.stolen_keys import ALL, A, B, C, does, format_of, owner_of_three, pin_of, revisions
from trustcli.console.exit_codes import DONE, REFUSED
from trustcli.console.prompt import TerminalPrompt
from trustcli.errors import UsageError
from trustdata.gun import GUN
from trustdata.roles import RELEASES
from trustdata.wire import WireFormat

GLOB = ("--glob", "registry.example.com/team/*")
NOTHING_NEW = ("--accept-unseen", "none")
COMMANDS = [("key", "rotate", "targets"), ("signer", "rotate", "bob"), ("signer", "remove", "bob")]
"""With C, which has no signers, only the first."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wire: WireFormat, prepared_homes: PreparedHomes) -> Home:
    return owner_of_three(tmp_path, monkeypatch, wire, prepared_homes)


@pytest.fixture
def thief(home: Home) -> Home:
    """Another machine, with alice's key."""
    thief = Home(home.folder / "thief", *home.sites.values())
    thief.folder.mkdir(mode=0o700)
    thief.environ = home.environ
    does(home, "key", "export", "alice", "-o", "stolen.pem")
    for name in (A, B):
        does(thief, "pin", name, pin_of(home, name), "--format", format_of(home))
    does(thief, "key", "import", "stolen.pem", "--name", "alice")
    return thief


def releases(thief: Home, name: GUN, tag: str, digest: str) -> None:
    thief.registry_digest = f"sha256:{digest}"
    does(thief, "sign", "--signer", "alice", f"{name}:{tag}@sha256:{digest}")


def after_the_plan(home: Home, name: GUN, do: Callable[[], None]) -> None:
    """Do something when this collection was planned, and is read once more to be changed."""
    read: list[str] = []

    def at_once(filename: str) -> None:
        if filename.startswith("timestamp"):
            read.append(filename)
        if len(read) == 2:
            home.sites[name].before_fetch = None
            do()

    home.sites[name].before_fetch = at_once


def ended(home: Home, *words: str, expect: int = DONE) -> dict[str, Any]:
    assert home.run(*words, json=True) == expect, home.err
    return {row["gun"]: row for row in json.loads(home.out)["collections"]}


def states(found: dict[str, Any]) -> dict[str, str]:
    return {gun: row["state"] if row["error"] is None else row["error"]["code"] for gun, row in found.items()}


def seen(home: Home, *words: str) -> list[str]:
    """The files that a plan shows as new here."""
    assert home.run(*words, "--plan", json=True) == DONE, home.err
    plans = json.loads(home.out)["plans"]
    return [again["file"] for plan in plans for again in plan["signed_again"] if again["unseen"] is not None]


def accepting(files: list[str]) -> list[str]:
    return [word for file in files for word in ("--accept-unseen", file)]


@pytest.mark.parametrize("said", [(), ("--yes",)], ids=["no terminal", "yes"])
def test_who_names_nothing_signs_what_is_listed(home: Home, thief: Home, said: tuple[str, ...]) -> None:
    """From cron and in CI nobody can be asked, and what expires is an outage."""
    releases(thief, B, "3.0", NEWER)
    assert states(ended(home, *COMMANDS[0], A, B, *said)) == {A: "done", B: "done"}
    assert f"+ tag 3.0: sha256:{NEWER}" in home.err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_names_that_are_typed_hold_each_other_back(home: Home, thief: Home, command: tuple[str, ...]) -> None:
    assert seen(home, *command, A, B) == []
    releases(thief, B, "3.0", EVIL)
    before = revisions(home)
    for _ in range(2):
        found = ended(home, *command, A, B, *NOTHING_NEW, expect=REFUSED)
        assert states(found) == {A: "not tried", B: "content-unseen"}
    assert revisions(home) == before
    assert f"+ tag 3.0: sha256:{EVIL}" in home.err
    files = seen(home, *command, A, B)
    assert f"{RELEASES}@sha256:{home.sites[B].stored[RELEASES].sha256}" in files
    assert states(ended(home, *command, A, B, *accepting(files))) == {A: "done", B: "done"}


def test_names_that_were_found_do_not(home: Home, thief: Home) -> None:
    """Somebody has to be asked there anyway; with the files named nobody is, about just these."""
    releases(thief, A, "3.0", NEWER)
    files = seen(home, "key", "rotate", "targets", *GLOB)
    with pytest.raises(UsageError, match="without being asked: --yes"):
        home.run("key", "rotate", "targets", *GLOB)
    found = ended(home, "key", "rotate", "targets", *map(str, ALL), *accepting(files))
    assert states(found) == dict.fromkeys(ALL, "done")


@pytest.mark.parametrize("jobs", ["1", "4"])
def test_what_comes_after_the_plan_is_not_signed(home: Home, thief: Home, jobs: str) -> None:
    """What is listed is what there was when it was planned."""
    after_the_plan(home, B, lambda: releases(thief, B, "3.0", EVIL))
    found = ended(home, "key", "rotate", "targets", *GLOB, "--yes", "--jobs", jobs, expect=REFUSED)
    assert states(found) == {A: "done", B: "plan-changed", C: "done"}
    assert f"{RELEASES}@sha256:{home.sites[B].stored[RELEASES].sha256} is signed again" in home.err
    assert states(ended(home, "key", "rotate", "targets", B, *NOTHING_NEW, expect=REFUSED)) == {B: "content-unseen"}


@pytest.mark.parametrize("jobs", ["1", "4"])
def test_what_comes_after_the_look_is_not_signed(home: Home, thief: Home, jobs: str) -> None:
    """Files that were accepted by their hash are these files, also in other threads."""
    for name in (A, B):
        releases(thief, name, "3.0", NEWER)
    files = seen(home, "key", "rotate", "targets", A, B)
    after_the_plan(home, B, lambda: releases(thief, B, "4.0", EVIL))
    found = ended(home, "key", "rotate", "targets", A, B, *accepting(files), "--jobs", jobs, expect=REFUSED)
    assert states(found) == {A: "done", B: "content-unseen"}
    assert f"tag 4.0: sha256:{EVIL}" in found[B]["error"]["message"]


def test_one_question_for_all(home: Home, thief: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (A, B):
        releases(thief, name, "3.0", NEWER)
    questions: list[str] = []
    answers = [False, True, True]

    def confirm(_: TerminalPrompt, question: str) -> bool:
        questions.append(question)
        return answers.pop(0)

    monkeypatch.setattr(TerminalPrompt, "confirm", confirm)
    before = revisions(home)
    rotation = ("key", "rotate", "targets", *map(str, ALL))
    with pytest.raises(UsageError, match="nothing was done"):
        home.run(*rotation, non_interactive=False)
    assert home.stderr.getvalue().count(f"+ tag 3.0: sha256:{NEWER}") == 2
    assert revisions(home) == before
    after_the_plan(home, B, lambda: releases(thief, B, "4.0", EVIL))
    assert home.run(*rotation, non_interactive=False, json=True) == REFUSED
    found = {row["gun"]: row for row in json.loads(home.out)["collections"]}
    assert states(found) == {A: "done", B: "content-unseen", C: "done"}
    what = "trust key rotate targets: do it in 3 collections, and sign again what is listed above, in 2 of them?"
    assert questions == [what] * 2


def test_a_stolen_key_s_plan_shows_what_stays_and_is_signed_again(home: Home, thief: Home) -> None:
    releases(thief, A, "3.0", EVIL)
    assert home.run("key", "compromised", "alice", "--plan", "--keep-if-signed-by", "bob", json=True) == DONE
    plan = next(plan for plan in json.loads(home.out)["plans"] if plan["gun"] == A)
    (again,) = (again for again in plan["signed_again"] if again["role"] == RELEASES)
    assert {tag["tag"] for tag in again["tags"]} == {"2.0", "both"}
    assert [tag["tag"] for tag in again["unseen"]["tags"]] == ["3.0"]
