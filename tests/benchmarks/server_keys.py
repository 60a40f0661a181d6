"""Keys of the server: signatures with keys in SoftHSM2 beside sealed ones, and another seal key for 10 000 keys.

`python -m tests.benchmarks.server_keys` measures only this. A PKCS#11 library is loaded into a process of its
own, which prints its figures as JSON.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from keys.passphrase import EnvironmentPassphrases
from keys.pkcs11.wrapped_keys import HELD, TokenWrapping
from tests.benchmarks.table import Row, show
from tests.support.server_owner import NOW
from tests.support.softhsm import QUERY, SoftHsm
from trustdata.gun import GUN
from trustdata.roles import TIMESTAMP
from trustdata.wire.formats import wire_named
from trustserver.admin.reseal import reseal
from trustserver.repository.server_keys import ServerKeys
from trustserver.settings import Settings
from trustserver.storage.opening import open_server_keys, open_store
from trustserver.storage.ports import KeyRecord, KeyState
from trustserver.storage.sealed_keys import SealedKeys
from trustserver.storage.stored_rows import key_values

_URI: Final = f"pkcs11:token=bench;object=wrapping{QUERY}"
_SIGNATURES: Final = 2000
_COLLECTIONS: Final = 500
_RESEALED: Final = 10_000
_PAYLOAD: Final = b"x" * 500


def rows(folder: Path) -> list[Row]:
    """Measure signatures in a child process, and resealing in this one."""
    folder.mkdir(parents=True)
    hsm = SoftHsm(folder / "hsm")
    hsm.make("bench")
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.server_keys", "child"],
        env={**os.environ, **hsm.environ},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    return [
        Row(
            what="signatures with one server key: SoftHSM2, sealed",
            ours=found["token"],
            peer=found["sealed"],
            unit="per s",
            wanted=0.05,
            more_is_better=True,
        ),
        Row(
            what=f"signatures, each with another of {_COLLECTIONS} keys, at first",
            ours=found["token first"],
            peer=found["sealed first"],
            unit="per s",
            wanted=0.02,
            more_is_better=True,
        ),
        Row(
            what="new server keys: SoftHSM2, sealed",
            ours=found["token made"],
            peer=found["sealed made"],
            unit="per s",
            wanted=0.01,
            more_is_better=True,
        ),
        Row(
            what=f"another seal key for {_RESEALED} keys",
            ours=resealed(folder / "resealed"),
            peer=500.0,
            unit="per s",
            wanted=1.0,
            more_is_better=True,
        ),
    ]


def _signing() -> dict[str, float]:
    """Return signatures and new keys per second, of keys in the token and of sealed ones."""
    sealer = SealedKeys(bytes(32))
    token = TokenWrapping(_URI, EnvironmentPassphrases(os.environ, None))
    token.prepare(may_make=True)
    assert _COLLECTIONS < HELD
    return {
        **_figures("sealed", ServerKeys(sealer)),
        **_figures("token", ServerKeys(sealer, places=[token], makes_elsewhere=True)),
    }


def _figures(name: str, keys: ServerKeys) -> dict[str, float]:
    made: list[KeyRecord] = []

    def make(number: int) -> None:
        gun = GUN(f"registry.example.com/team/{number}")
        made.append(keys.make(gun, TIMESTAMP, KeyState.CURRENT, NOW))

    making = _per_second(make, _COLLECTIONS)
    if name == "token":
        _forget_unwrapped()
    signers = [wire_named("tuf-1.0").signer(keys.open(each)) for each in made]
    first = _per_second(lambda number: signers[number].sign(_PAYLOAD), _COLLECTIONS)
    again = _per_second(lambda _: signers[0].sign(_PAYLOAD), _SIGNATURES)
    return {f"{name} made": making, f"{name} first": first, name: again}


def _forget_unwrapped() -> None:
    """Have the token forget what was unwrapped when the keys were made, as after a start."""
    from keys.pkcs11.library import library_at
    from keys.pkcs11.pkcs11_uri import read_pkcs11_uri

    uri = read_pkcs11_uri(_URI)
    with library_at(uri.module) as library:
        held = library.session(uri, EnvironmentPassphrases(os.environ, None)).held
        while held:
            held.popitem()[1].destroy()


def _per_second(what: Callable[[int], object], times: int) -> float:
    began = time.perf_counter()
    for number in range(times):
        what(number)
    return times / (time.perf_counter() - began)


def resealed(folder: Path) -> float:
    """Return how many keys per second get another seal, each of them written to the disk."""
    settings = Settings(data=folder)
    store = open_store(settings)
    keys = open_server_keys(settings)
    old = SealedKeys(bytes(32))
    store.set_seal_mark(old.mark)
    maker = ServerKeys(old)
    made = [
        maker.make(GUN(f"registry.example.com/team/{number}"), TIMESTAMP, KeyState.CURRENT, NOW)
        for number in range(_RESEALED)
    ]
    with sqlite3.connect(folder / "trust.db") as database:
        values = [key_values(key) for key in made]
        names = list(values[0])
        marks = ", ".join("?" for _ in names)
        database.executemany(
            f"INSERT INTO online_key ({', '.join(names)}) VALUES ({marks})",
            [[row[name] for name in names] for row in values],
        )
    database.close()
    began = time.perf_counter()
    assert reseal(keys, SealedKeys(bytes([1]) * 32, older=old), served=False, at=NOW) == []
    seconds = time.perf_counter() - began
    keys.close()
    store.close()
    return _RESEALED / seconds


if __name__ == "__main__":
    if sys.argv[1:] == ["child"]:
        sys.stdout.write(json.dumps(_signing()))
    else:
        with tempfile.TemporaryDirectory(prefix="trust-bench-") as name:
            show(rows(Path(name) / "server-keys"), [])
