"""`trust expiring` over very many collections, each of them verified: CPU and memory, and whether it grows in line.

All are copies of one collection under other names, made in the server's database: its root names no collection, and so
the one fingerprint that is pinned for each holds. `python -m tests.benchmarks.expiring` measures only this.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.benchmarks.many_collections import begin_one, copied_name, copy_under
from tests.benchmarks.our_server import OurServer, start_ours
from tests.benchmarks.small_parent import Used, run_measured
from tests.benchmarks.table import Row, show

_MANY: Final = 10_000
_FEW: Final = 1000
_GROWTH: Final = 1.5
"""Measured: 1.20 and 1.33 (7.9 and 7.2 ms of each of 10 000); where the pins were read for each, 1.59 and 1.75."""
_WITHIN: Final = "400d"
"""So far ahead that `targets` of each runs out: the longest list."""


def rows(folder: Path, *, many: int = _MANY, few: int = _FEW) -> list[Row]:
    """Measure a machine that meets all of them for the first time, and the same again a day later."""
    with start_ours(folder / "server") as server:
        pin = begin_one(server)
    copy_under(folder / "server" / "data" / "trust.db", many)
    with start_ours(folder / "server") as server:
        first_few = _expiring(server, folder / "few", pin, few)
        again_few = _expiring(server, folder / "few", pin, few)
        first = _expiring(server, folder / "many", pin, many)
        again = _expiring(server, folder / "many", pin, many)
    return [
        _each(f"expiring, {many} collections, first time: CPU of each", first, many, first_few, few),
        _each(f"expiring, {many} collections, known: CPU of each", again, many, again_few, few),
        Row(what=f"expiring, {many} collections: memory", ours=again.megabytes, peer=400.0, unit="MB", wanted=1.0),
    ]


def _each(what: str, many: Used, count: int, few: Used, fewer: int) -> Row:
    """A row whose peer is the same for a tenth of the collections: what grows in line takes as much for each."""
    ours, peer = many.cpu_seconds / count * 1e3, few.cpu_seconds / fewer * 1e3
    return Row(what=what, ours=ours, peer=peer, unit="ms", wanted=_GROWTH)


def _expiring(server: OurServer, home: Path, pin: str, count: int) -> Used:
    """Run it in this home, in which so many collections are pinned."""
    home.mkdir(mode=0o700, exist_ok=True)
    pins = home / "pins.toml"
    if not pins.exists():
        entry = f'pin = "{pin}"\nformat = "tuf-1.0"\nrecorded = 2026-01-02T03:04:05Z\nhow = "pin"\n'
        pins.write_text("".join(f'[pins."{copied_name(number)}"]\n{entry}\n' for number in range(count)))
        pins.chmod(0o600)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TRUST_")}
    environ |= {"TRUST_HOME": str(home), "TRUST_SERVER": server.url}
    with (home / "out.json").open("wb") as out:
        command = [sys.executable, "-m", "tests.benchmarks.expiring", "child", _WITHIN]
        used = run_measured(command, environ=environ, stdout=out)
    found = (home / "out.json").read_bytes().count(b'"role": "targets"')
    if found != count:
        raise RuntimeError(f"{found} of {count} collections were told")
    return used


def _child(within: str) -> int:
    """Run the command; that something runs out (status 1) is what is measured."""
    from trustcli.__main__ import run

    return 0 if run(["--json", "expiring", "--within", within]) == 1 else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        sys.exit(_child(sys.argv[2]))
    with tempfile.TemporaryDirectory(prefix="trust-bench-") as name:
        show(rows(Path(name)), [])
