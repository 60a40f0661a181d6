"""A server that refuses one name of forty: the others are done, and the same command does the one."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.simulator.home import Home, without_network
from tests.simulator.repository import RepositorySimulator
from tests.support.cheap_keys import sealing_cheaply
from trustcli.console.exit_codes import DONE, REFUSED
from trustcli.errors import RemoteRefused
from trustdata.gun import GUN, parse_gun
from trustdata.roles import ROOT
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS

FORTY = [parse_gun(f"registry.example.com/team/app{number:02}") for number in range(40)]
ONE = FORTY[17]
COMMAND = ("key", "rotate", "targets", "--glob", "registry.example.com/team/*", "--yes")


def _forty(folder: Path, wire: WireFormat) -> Home:
    folder.chmod(0o700)
    home = Home(folder, *(RepositorySimulator(gun=name, wire=wire) for name in FORTY))
    home.environ = {f"TRUST_{name}_PASSPHRASE": f"the {name} passphrase" for name in ("ROOT", "REPOSITORY")}
    format_ = "tuf" if wire.name == "tuf-1.0" else "notary"
    assert home.run("init", *FORTY, "--no-recovery-key", "--format", format_) == DONE, home.err
    return home


def _states(home: Home, jobs: int, report: Path, *, expect: int) -> dict[str, str]:
    status = home.run(*COMMAND, "--jobs", str(jobs), "--report", str(report), json=True)
    assert status == expect, home.err
    return {row["gun"]: row["state"] for row in json.loads(home.out)["collections"]}


def _roots(home: Home) -> dict[GUN, int]:
    return {name: site.stored[ROOT].version for name, site in home.sites.items()}


@pytest.mark.long
@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.parametrize("wire", FORMATS.values(), ids=list(FORMATS))
def test_one_of_forty_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wire: WireFormat, jobs: int) -> None:
    without_network(monkeypatch)
    sealing_cheaply(monkeypatch)
    home = _forty(tmp_path, wire)
    report = tmp_path / "report.csv"

    def refuse() -> None:
        raise RemoteRefused(remote=RepositorySimulator.name, status=403, reason="this name is frozen")

    home.sites[ONE].before_publish = refuse
    found = _states(home, jobs, report, expect=REFUSED)
    assert found == {name: "failed" if name == ONE else "done" for name in FORTY}
    assert _roots(home) == {name: 1 if name == ONE else 2 for name in FORTY}
    table = list(csv.DictReader(io.StringIO(report.read_text())))
    assert [row["collection"] for row in table] == FORTY
    (failed,) = (row for row in table if row["state"] != "done")
    assert (failed["collection"], failed["code"]) == (ONE, "remote-refused")
    assert "this name is frozen" in failed["message"]
    assert failed["next"]

    home.sites[ONE].before_publish = None
    found = _states(home, jobs, report, expect=DONE)
    assert found == {name: "done" if name == ONE else "nothing to do" for name in FORTY}
    assert "39 of 40 collections are done" in home.err
    assert _roots(home) == dict.fromkeys(FORTY, 2)
