"""`trust-server events`: what operators read of the record, and how they erase somebody from it."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.cli_runner import CliRunner
from tests.support.json_schema import faults
from tests.support.server_owner import DIGEST, NOW, Owner
from tests.support.server_site import GUN_A, Site
from tests.unit.server.guarded_site import Guarded, bearer
from trustdata.errors import InvalidName
from trustdata.roles import TARGETS
from trustserver.__main__ import app
from trustserver.admin import events
from trustserver.errors import StartRefused
from trustserver.settings import Settings
from trustserver.storage.opening import existing_store, open_sealer, open_store

OTHER = "registry.example.com/team/other"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three changes: two today and one tomorrow."""
    monkeypatch.setattr("trustserver.process.kernel_clock.now", lambda: NOW + timedelta(days=1))
    settings = Settings(data=tmp_path / "data")
    store = open_store(settings)
    site = Site(store, sealer=open_sealer(settings, store))
    owner: Owner = site.begin()
    site.begin(OTHER)
    site.later(days=1)
    owner.tags = {"1.0": "cd" * 32, "2.0": DIGEST}
    assert site.publish({TARGETS: owner.targets()}).status_code == 200
    store.close()
    return settings.data


def run(*arguments: str, data: Path) -> tuple[str, str]:
    """Output and errors; a refusal is raised, as it is to `main`."""
    result = CliRunner().invoke(app, ["events", *arguments, "--data", str(data)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def numbers(*arguments: str, data: Path) -> list[int]:
    return [json.loads(line)["event"]["number"] for line in run(*arguments, "--json", data=data)[0].splitlines()]


def test_a_line_for_each_change(data: Path) -> None:
    day = f"{NOW + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    lines = run(data=data)[0].splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3"]
    assert lines[2] == (
        f"3  {day}  published  {GUN_A}  revision 2  by anonymous from 127.0.0.1  tags: 1 added, 1 changed"
    )
    assert re.search("keys: root, targets, ", lines[0])
    assert run("list", data=data)[0].splitlines() == lines


def test_each_line_of_json_is_a_document_with_a_schema(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_BATCH", 2)
    documents = [json.loads(line) for line in run("--json", data=data)[0].splitlines()]
    assert [faults(document, "server-events") for document in documents] == [[], [], []]
    assert [document["event"]["gun"] for document in documents] == [GUN_A, OTHER, GUN_A]


def test_one_name_and_a_beginning(data: Path) -> None:
    tomorrow = NOW + timedelta(days=1)
    assert numbers(GUN_A, data=data) == [1, 3]
    assert numbers("--since", "2", data=data) == [2, 3]
    assert numbers("--since", f"{tomorrow:%Y-%m-%d}", data=data) == [3]
    assert numbers("--since", f"{tomorrow:%Y-%m-%dT%H:%M:%SZ}", data=data) == [3]
    assert numbers("--since", f"{tomorrow + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}", GUN_A, data=data) == []


def test_that_there_is_nothing_is_said(data: Path) -> None:
    assert run("registry.example.com/none", "--since", "2026-11-30", data=data) == (
        "",
        "trust-server: nothing is recorded of registry.example.com/none since 2026-11-30\n",
    )


@pytest.mark.parametrize("since", ["yesterday", "-1", "2026-13-01", "2026-11-30T08:00", "²"])
def test_a_beginning_that_is_none_is_refused(data: Path, since: str) -> None:
    with pytest.raises(StartRefused, match="must be the number of an event, a day, or a time"):
        run(f"--since={since}", data=data)


def test_who_is_erased_stands_in_no_line(data: Path) -> None:
    assert run("erase", "anonymous", data=data)[0] == "erased from 3 events\n"
    lines = run(data=data)[0].splitlines()
    assert all("by somebody erased" in line for line in lines[:3])
    assert re.search(r"4  \S+  erased  -  by operator:\S+  from 3 events$", lines[3])
    assert run("erase", "anonymous", data=data) == (
        "erased from 0 events\n",
        "warning: no event is by or about anonymous; trust-server events names them\n",
    )
    for nobody in ("alice", "usr:alice", "user:"):
        with pytest.raises(InvalidName, match="must be as trust-server events names them"):
            run("erase", nobody, data=data)
    assert CliRunner().invoke(app, ["check", "--data", str(data)]).exit_code == 0


def test_only_who_is_named_is_erased_from_tombstones(data: Path) -> None:
    """A tombstone names users of registry tokens without their kind: an API token of that name is another subject."""
    store = existing_store(Settings(data=data))
    site = Guarded(store)
    assert site.request("DELETE", f"/api/v1/collections/{GUN_A}", headers=bearer("*", sub="alice")).status_code == 200
    for subject, left in (("token:alice", "alice"), ("user:alice", "alice"), ("registry-token:alice", "erased")):
        run("erase", subject, data=data)
        tombstone = store.load(GUN_A).tombstone
        assert tombstone is not None
        assert tombstone.subject == left
    store.close()


def test_what_is_kept_no_more_is_said(data: Path) -> None:
    store = existing_store(Settings(data=data))
    store.drop_events(keep=1)
    store.close()
    output, said = run(data=data)
    assert output.startswith("3  ")
    assert said == "trust-server: 2 events before these are not kept any more\n"
    assert run("--since", "3", data=data)[1] == ""
    assert CliRunner().invoke(app, ["check", "--data", str(data)]).exit_code == 0


def test_an_operator_who_releases_a_name_is_recorded(data: Path) -> None:
    settings = Settings(data=data)
    store = open_store(settings)
    Site(store, sealer=open_sealer(settings, store)).request("DELETE", f"/api/v1/collections/{OTHER}")
    store.close()
    for _ in range(2):
        CliRunner().invoke(app, ["collections", "release", OTHER, "--data", str(data)])
    lines = run(OTHER, data=data)[0].splitlines()
    assert [line.split()[2] for line in lines] == ["published", "deleted", "released"]
    assert re.search(r"revision 3  by operator:\S+$", lines[2])
