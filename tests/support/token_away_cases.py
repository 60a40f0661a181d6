"""A token of SoftHSM2 that is taken away while commands sign, each case in a process of its own.

python -m tests.support.token_away_cases CASE FORMAT FOLDER TOKENS
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.simulator.home import Home, without_network
from tests.simulator.repository import RepositorySimulator
from tests.simulator.scene import GOOD
from tests.support.cheap_keys import sealing_cheaply
from tests.support.softhsm import QUERY
from trustcli.console.exit_codes import DONE, KEYS
from trustdata.errors import VersionConflict
from trustdata.gun import GUN, parse_gun
from trustdata.roles import ROOT, TARGETS
from trustdata.wire.formats import FORMATS

ALL: Final = [parse_gun(f"registry.example.com/team/{letter}") for letter in "abcd"]
A, B, C, D = ALL
AWAY: Final = {"token-gone", "token-missing"}


class Token:
    """The folder of all tokens, which somebody takes away."""

    def __init__(self, folder: str) -> None:
        self._folder, self._away = Path(folder), Path(f"{folder}-away")

    def remove(self) -> None:
        """Take it away, once."""
        if not self._away.exists():
            shutil.move(self._folder, self._away)
            self._folder.mkdir()

    def put_back(self) -> None:
        self._folder.rmdir()
        shutil.move(self._away, self._folder)


def owner(wire: str, folder: str) -> Home:
    """An owner of four collections whose root key is in the token, as is the key of alice, who signs in the first."""
    monkeypatch = pytest.MonkeyPatch()
    without_network(monkeypatch)
    sealing_cheaply(monkeypatch)
    home = Home(Path(folder), *(RepositorySimulator(gun=name, wire=FORMATS[wire]) for name in ALL))
    secrets = {f"TRUST_{name}_PASSPHRASE": f"the {name} passphrase" for name in ("ROOT", "REPOSITORY")}
    home.environ = {**os.environ, **secrets}
    home.registry_digest = f"sha256:{GOOD}"
    os.chdir(folder)
    for name, purpose in (("main", "root"), ("alice", "signer")):
        does(home, "key", "generate", name, "--purpose", purpose, "--at", f"pkcs11:token=one{QUERY}")
    form = "tuf" if wire == "tuf-1.0" else "notary"
    does(home, "init", *ALL, "--root-key", "main", "--no-recovery-key", "--format", form)
    does(home, "signer", "add", "alice", A, "--key", "alice.pub")
    return home


def does(home: Home, *words: str) -> None:
    assert home.run(*words) == DONE, home.err


def rotated(home: Home, *words: str, expect: int | None) -> dict[GUN, Any]:
    """Rotate the roots of all; the rows by name. `expect`: the status; None for any."""
    status = home.run("key", "rotate", "root", *ALL, "--yes", *words, json=True)
    assert expect in {None, status}, home.err
    return {row["gun"]: row for row in json.loads(home.out)["collections"]}


def files(home: Home) -> dict[GUN, dict[str, bytes]]:
    return {gun: dict(site.files) for gun, site in home.sites.items()}


def readable(home: Home) -> None:
    """Nothing that anybody reads is half of a change."""
    for gun in ALL:
        assert home.run("inspect", "--pretty", gun) == DONE, home.err


def made_root_keys(home: Home) -> int:
    return sum(info.purpose == "root" and not info.uri for info in home.session().keystore.list())


def bulk(wire: str, folder: str, tokens: str, jobs: str) -> None:
    """It is gone when the second collection is signed: the others fail by name, and are done once it is back."""
    home, token = owner(wire, folder), Token(tokens)
    before = files(home)
    home.sites[B].before_publish = token.remove
    rows = rotated(home, "--jobs", jobs, expect=KEYS if jobs == "1" else None)
    failed = {gun for gun, row in rows.items() if row["error"] is not None}
    assert B not in failed
    assert failed == {C, D} if jobs == "1" else failed <= {A, C, D}
    for gun in failed:
        assert rows[gun]["error"]["code"] in AWAY
        assert rows[gun]["error"]["next"].startswith("plug it in")
        assert files(home)[gun] == before[gun]
    assert {gun for gun in ALL if home.sites[gun].stored[ROOT].version == 2} == set(ALL) - failed
    readable(home)
    if not failed:  # several jobs may all have signed by then, and a finished run is not gone on with
        assert jobs != "1"
        return
    meanwhile = files(home)
    still = [row["error"] for row in rotated(home, "--jobs", jobs, expect=KEYS).values() if row["error"]]
    assert {error["code"] for error in still} == {"token-missing"}
    assert files(home) == meanwhile
    token.put_back()
    again = rotated(home, "--jobs", jobs, expect=DONE)
    assert {gun for gun, row in again.items() if row["state"] == "done"} == failed
    assert {site.stored[ROOT].version for site in home.sites.values()} == {2}
    assert made_root_keys(home) == 1, "the one that was made goes into all of them"
    readable(home)
    does(home, "sign", f"{D}:1.0@sha256:{GOOD}")


def sign(wire: str, folder: str, tokens: str) -> None:
    """It is gone between the login and the signature that is made anew after a conflict."""
    home, token = owner(wire, folder), Token(tokens)
    before = files(home)

    def overtaken() -> None:
        token.remove()
        raise VersionConflict(role=TARGETS, offered=2, stored=2)

    home.sites[A].before_publish = overtaken
    words = ("sign", "--signer", "alice", f"{A}:1.0@sha256:{GOOD}")
    assert home.run(*words, json=True) == KEYS, home.err
    row = json.loads(home.out)
    assert row["error"]["code"] == "token-gone", row
    assert "token one" in row["error"]["message"]
    assert row["error"]["next"] == "plug it in again, then run the same command again"
    assert files(home) == before
    readable(home)
    home.sites[A].before_publish = None
    assert home.run(*words) == KEYS
    assert "there is no token" in home.err
    assert files(home) == before
    token.put_back()
    does(home, *words)
    does(home, "verify", "--signer", "alice", f"{A}:1.0")


CASES: Final[dict[str, Callable[..., None]]] = {each.__name__: each for each in (bulk, sign)}

if __name__ == "__main__":
    CASES[sys.argv[1]](*sys.argv[2:])
