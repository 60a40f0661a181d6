"""`trust pins`: by format, as names for other commands, and as commands for other machines."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.simulator.home import Home, without_network
from tests.simulator.repository import RepositorySimulator
from trustcli.console.exit_codes import DONE
from trustcli.errors import UsageError
from trustdata.gun import parse_gun

TUF_NAME = parse_gun("registry.example.com/team/new")
NOTARY_NAME = parse_gun("registry.example.com/team/old")
PIN = "sha256:" + "ab" * 32


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    without_network(monkeypatch)
    home = Home(tmp_path, RepositorySimulator())
    pins = "".join(
        f'[pins."{gun}"]\npin = "{PIN}"\nformat = "{format_}"\nrecorded = 2026-01-02T03:04:05Z\nhow = "pin"\n{more}\n'
        for gun, format_, more in (
            (TUF_NAME, "tuf-1.0", ""),
            (NOTARY_NAME, "notary-v1", ""),
            ("mirror.example.com/team/new", "tuf-1.0", f'named = "{TUF_NAME}"'),
        )
    )
    (tmp_path / "pins.toml").write_text(pins)
    return home


def test_pins_of_one_format(home: Home) -> None:
    assert home.run("pins", "--format", "notary", json=True) == DONE
    assert [row["gun"] for row in json.loads(home.out)["pins"]] == [NOTARY_NAME]
    assert home.run("pins", "--format", "tuf", "--as", "names") == DONE
    assert home.out.split() == ["mirror.example.com/team/new", TUF_NAME]


def test_what_the_commands_pin_elsewhere_is_the_same(home: Home, tmp_path: Path) -> None:
    assert home.run("pins", "--as", "commands") == DONE
    commands = home.out.splitlines()
    elsewhere = Home(tmp_path / "elsewhere", *home.sites.values())
    elsewhere.folder.mkdir()
    for line in sorted(commands, key=lambda line: "--named" in line):
        program, *arguments = shlex.split(line)
        assert program == "trust"
        assert elsewhere.run(*arguments) == DONE, elsewhere.err
    assert elsewhere.run("pins", json=True) == DONE
    there = json.loads(elsewhere.out)["pins"]
    assert home.run("pins", json=True) == DONE
    assert there == json.loads(home.out)["pins"]


def test_unknown_forms_are_wrong_usage(home: Home) -> None:
    for arguments in (("--format", "oci"), ("--as", "yaml")):
        with pytest.raises(UsageError, match="is unknown; write one of"):
            home.run("pins", *arguments)
