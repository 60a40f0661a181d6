"""kill -9 of a run that does several collections at a time, in both formats.

Whatever the moment and whichever thread it meets: the same command again ends where a run ends that nobody has killed.
`tests/journeys/test_bulk_crashes.py` proves it of real processes, and of one collection after the other.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

import pytest

from tests.simulator.home import Home, without_network
from tests.simulator.owner import tag_edit
from tests.simulator.repository import RepositorySimulator
from tests.support.cheap_keys import sealing_cheaply
from tests.support.dying_trust import moments
from tests.support.killed_run import Killed, KilledRun
from trustcli.console.exit_codes import DONE
from trustdata.editing import repository_editor
from trustdata.editing.repository_editor import EditTerms
from trustdata.gun import parse_gun
from trustdata.roles import RELEASES, RoleName
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS

TEAM: Final = [parse_gun(f"registry.example.com/team/{letter}") for letter in "ab"]
TAG: Final = tag_edit("1.0", "ab" * 32)
GLOB: Final = ("--glob", "registry.example.com/team/*", "--yes")
COMMANDS: Final = {
    "root": ("key", "rotate", "root", *GLOB),
    "targets": ("key", "rotate", "targets", *GLOB),
    "timestamp": ("key", "rotate", "timestamp", *GLOB),
    "rotate alice": ("signer", "rotate", "alice", *GLOB),
    "remove alice": ("signer", "remove", "alice", "--everywhere", *GLOB),
}


@pytest.fixture(scope="module", params=FORMATS.values(), ids=list(FORMATS))
def founded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """An owner of two collections with one root key and a signer; 1.0 is signed in each. Copied, never changed."""
    wire: WireFormat = request.param
    with pytest.MonkeyPatch.context() as patch:
        without_network(patch)
        sealing_cheaply(patch)
        folder = tmp_path_factory.mktemp("founded")
        folder.chmod(0o700)
        home = Home(folder, *(RepositorySimulator(gun=name, wire=wire) for name in TEAM))
        home.environ = {f"TRUST_{name}_PASSPHRASE": f"the {name} passphrase" for name in ("ROOT", "REPOSITORY")}
        form = "tuf" if wire.name == "tuf-1.0" else "notary"
        assert home.run("init", *TEAM, "--no-recovery-key", "--format", form) == DONE, home.err
        assert home.run("key", "generate", "alice", "--dir", str(folder)) == DONE, home.err
        assert home.run("signer", "add", "alice", *TEAM, "--key", str(folder / "alice.pub")) == DONE, home.err
        session, into = home.session(), (RELEASES, RoleName("targets/alice"))
        terms = EditTerms.of(wire, at=home.at)
        for name in TEAM:
            session.publisher(session.collection(name), session.held_keys()).publish(
                lambda roles: repository_editor.set_tags(roles, [TAG], into=into, terms=terms)
            )
    return home


class Machine:
    """A copy of the founded machine and of its servers."""

    def __init__(self, founded: Home, folder: Path) -> None:
        shutil.copytree(founded.folder, folder)
        self.home = Home(folder, *(site.copy() for site in founded.sites.values()))
        self.home.environ = dict(founded.environ)

    def run(self, *words: str, die_before: int = 0) -> KilledRun:
        """Run to the end, which must be a good one, or to the death."""
        with pytest.MonkeyPatch.context() as patch:
            run = KilledRun(patch, self.home.sites.values(), die_before=die_before)
            try:
                assert self.home.run(*words) == DONE, self.home.stderr.getvalue()
            except Killed:
                assert run.dead
        return run

    def end(self) -> Any:
        """What is there, with each key id as the place where it first appears: keys that are made differ each time."""
        ids: dict[str, int] = {}

        def plain(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: plain(each) for name, each in sorted(value.items())}
            if isinstance(value, list):
                return [plain(each) for each in value]
            return ids.setdefault(value, len(ids)) if isinstance(value, str) and len(value) == 64 else value

        store = list(self.home.session().keystore.list())
        state = {"shown": [], "versions": [site.versions() for site in self.home.sites.values()]}
        for name in TEAM:
            assert self.home.run("inspect", name, json=True) == DONE, self.home.err
            state["shown"].append(plain(json.loads(self.home.out)))
        return {
            **state,
            "keys": sorted((info.purpose, info.gun, info.retired) for info in store),
            "left": [path.name for path in self.home.folder.glob("bulk/*.journal")],
            "rotations": [path.read_text() for path in self.home.folder.glob("rotations.json")],
        }


@pytest.mark.parametrize("few", [pytest.param(5, id="some"), pytest.param(None, marks=pytest.mark.long, id="every")])
@pytest.mark.parametrize(
    "command",
    [pytest.param(name, marks=[] if name in {"root", "rotate alice"} else pytest.mark.long) for name in COMMANDS],
)
def test_the_same_command_again_ends_in_the_same_state(
    *, founded: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, few: int | None
) -> None:
    without_network(monkeypatch)
    sealing_cheaply(monkeypatch)
    words = (*COMMANDS[command], "--jobs", str(len(TEAM)))
    whole = Machine(founded, tmp_path / "whole")
    calls = whole.run(*words).calls
    expected = whole.end()
    died = 0
    for moment in moments(calls, few):
        machine = Machine(founded, tmp_path / "machine")
        died += machine.run(*words, die_before=moment).dead
        for name in TEAM:
            assert machine.home.run("verify", f"{name}:1.0") == DONE, machine.home.err
        if machine.end() != expected:  # else it was killed when everything was done
            machine.run(*words)
            assert machine.end() == expected, f"killed before call {moment} of {calls}"
        shutil.rmtree(machine.home.folder)
    assert died >= len(moments(calls, few)) - 1, "how the threads take turns changes the number of calls a little"
