"""An owner of three collections, two of them with signers, whose keys are stolen: for tests of what is done then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.home import Home, without_network
from tests.simulator.repository import RepositorySimulator
from tests.simulator.scene import GOOD, NEWER
from tests.support.cheap_keys import sealing_cheaply
from tests.support.prepared_homes import PreparedHomes
from trustcli.console.exit_codes import DONE
from trustdata.gun import GUN, parse_gun
from trustdata.wire import WireFormat

ALL = [parse_gun(f"registry.example.com/team/{letter}") for letter in "abc"]
A, B, C = ALL
D = parse_gun("registry.example.com/team/d")


def owner_of_three(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wire: WireFormat, prepared_homes: PreparedHomes
) -> Home:
    """An owner of three collections with a recovery key. In a and b alice and bob sign; c has no signers."""
    without_network(monkeypatch)
    sealing_cheaply(monkeypatch)

    def make(folder: Path) -> Home:
        monkeypatch.chdir(folder)
        return _owner_of_three(folder, wire)

    home = prepared_homes.home(tmp_path, ("stolen keys", wire.name), make)
    monkeypatch.chdir(tmp_path)
    return home


def _owner_of_three(folder: Path, wire: WireFormat) -> Home:
    home = Home(folder, *(RepositorySimulator(gun=name, wire=wire) for name in ALL))
    home.environ = {f"TRUST_{name}_PASSPHRASE": f"the {name} passphrase" for name in ("ROOT", "REPOSITORY", "RECOVERY")}
    home.registry_digest = f"sha256:{GOOD}"
    does(home, "init", *ALL, "--recovery-key", "recovery.key", "--format", format_of(home))
    for signer in ("alice", "bob"):
        does(home, "key", "generate", signer)
        does(home, "signer", "add", signer, A, B, "--key", f"{signer}.pub")
    does(home, "sign", f"{C}:1.0@sha256:{GOOD}")
    for name in (A, B):
        does(home, "sign", "--signer", "alice", f"{name}:1.0@sha256:{GOOD}")
    home.registry_digest = f"sha256:{NEWER}"
    for name in (A, B):
        does(home, "sign", "--signer", "bob", f"{name}:2.0@sha256:{NEWER}")
        does(home, "sign", "--signer", "alice", f"{name}:both@sha256:{NEWER}")
        does(home, "sign", "--signer", "bob", f"{name}:both@sha256:{NEWER}")
    return home


def does(home: Home, *words: str) -> str:
    assert home.run(*words) == DONE, home.err
    return home.out


def format_of(home: Home) -> str:
    return "tuf" if home.sites[A].wire.name == "tuf-1.0" else "notary"


def removal(home: Home, key: str, *words: str, expect: int = DONE) -> dict[str, Any]:
    """Carry it out with `--json`; the rows by name."""
    assert home.run("key", "compromised", key, "--remove", "--yes", *words, json=True) == expect, home.err
    return {row["gun"]: row for row in json.loads(home.out)["collections"]}


def revisions(home: Home) -> dict[GUN, int]:
    return {name: site.revision for name, site in home.sites.items()}


def tags(home: Home, name: GUN) -> dict[str, str]:
    """What a client finds."""
    assert home.run("inspect", name, "--pretty") in {DONE, 3}
    rows = [line.split() for line in home.out.splitlines()]
    return {row[0]: row[1] for row in rows if len(row) >= 2 and len(row[1]) == 64 and row[0] != "Root"}


def pin_of(home: Home, name: GUN) -> str:
    does(home, "pins")
    return next(line.split()[1] for line in home.out.splitlines() if line.split()[0] == name)
