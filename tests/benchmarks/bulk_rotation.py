"""`trust key rotate root` over many collections: how many a minute, and what each costs the server and the client.

A rotation reads a collection, plays it through for old clients, publishes root and what must be signed again, and
verifies the result. The peer of the server's CPU is what the plain publish of one tag costs it, in the same run; that
of the client's, one collection after the other. `python -m tests.benchmarks.bulk_rotation` measures only this.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks import cpu
from tests.benchmarks.our_server import BenchCollection, OurServer, start_ours
from tests.benchmarks.small_parent import run_measured
from tests.benchmarks.table import Row, show
from trustdata.gun import parse_gun

_COLLECTIONS: Final = 60
_PUBLISHES: Final = 40
_TRUST: Final = [sys.executable, "-m", "trustcli"]
_HOST: Final = "registry.example.com"
_ONLY_SHOWN: Final = 0.0
"""How many go through in a minute depends on what else the machine does: on two cores of which others had most, 157 and
94 in TUF 1.0."""
_OF_A_PUBLISH: Final = 4.0
"""The server was measured at 2.9 (TUF 1.0) and 3.1 (Notary v1): 17 to 19 ms of CPU for each collection."""
_THREADS: Final = 1.25
"""What four threads may cost more than one; measured: 0.94 and 1.04."""


def rows(folder: Path, *, count: int = _COLLECTIONS) -> list[Row]:
    """Measure both formats."""
    found: list[Row] = []
    with start_ours(folder / "server") as server:
        publish = _publish(server)
        for form in ("tuf", "notary"):
            alone, together = (_rotated(folder / f"{form}-{jobs}", server, form, count, jobs=jobs) for jobs in (1, 4))
            what = f"root of {count} collections, {form}"
            found += [
                Row(
                    what=f"{what}: four at a time, one at a time",
                    ours=60 / together.seconds,
                    peer=60 / alone.seconds,
                    unit="per min",
                    wanted=_ONLY_SHOWN,
                    more_is_better=True,
                ),
                Row(
                    what=f"{what}: server CPU",
                    ours=together.server * 1e3,
                    peer=publish * 1e3,
                    unit="ms",
                    wanted=_OF_A_PUBLISH,
                ),
                Row(
                    what=f"{what}: client CPU",
                    ours=together.client * 1e3,
                    peer=alone.client * 1e3,
                    unit="ms",
                    wanted=_THREADS,
                ),
            ]
    return found


@dataclass(frozen=True, kw_only=True)
class _Each:
    """Of one collection, in seconds: wall time, and CPU of the server and of the client."""

    seconds: float
    server: float
    client: float


def _publish(server: OurServer) -> float:
    """Return the CPU seconds of the server for the publish of one tag."""
    collection = BenchCollection(server, parse_gun(f"{_HOST}/bench/publish"))
    collection.init()
    uploads = [collection.next_upload(range(number, number + 1)) for number in range(_PUBLISHES)]
    before = cpu.settle([server.pid])
    for upload in uploads:
        collection.send(upload)
    return (cpu.settle([server.pid]) - before) / _PUBLISHES


def _rotated(home: Path, server: OurServer, form: str, count: int, *, jobs: int) -> _Each:
    """Make collections with one root key, and rotate it in all of them."""
    home.mkdir(mode=0o700)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TRUST_")}
    environ |= {"TRUST_HOME": str(home), "TRUST_SERVER": server.url}
    environ |= {f"TRUST_{of}_PASSPHRASE": "a passphrase" for of in ("ROOT", "REPOSITORY")}
    team = f"{_HOST}/{home.name}"
    names = home / "names.txt"
    names.write_text("".join(f"{team}/app{number}\n" for number in range(count)))
    _run(["init", "--names", str(names), "--no-recovery-key", "--format", form], environ)
    command = ["key", "rotate", "root", "--glob", f"{team}/*", "--yes", "--jobs", str(jobs)]
    before, began = cpu.settle([server.pid]), time.perf_counter()
    used = run_measured([*_TRUST, *command], environ=environ, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    spent = cpu.settle([server.pid]) - before
    return _Each(seconds=seconds / count, server=spent / count, client=used.cpu_seconds / count)


def _run(arguments: list[str], environ: Mapping[str, str]) -> None:
    subprocess.run([*_TRUST, *arguments], env=environ, capture_output=True, check=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="trust-bench-") as name:
        show(rows(Path(name)), [])
