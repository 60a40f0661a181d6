"""What the worst files take that the limits admit, or that they do not: in memory, and key files in time."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from keys.errors import KeyFileMalformed
from keys.private_blocks import read_private_blocks
from tests.benchmarks.table import Row
from tests.support.attackers import key_files, uploads

_BUDGET: Final = {"tuf-1.0": 100.0, "notary-v1": 150.0}
"""MB that one file may take, for a server that judges it or a client that reads it."""
_KEY_FILE_MS: Final = 100.0
_PARSE: Final = """
import sys
from contextlib import suppress
from pathlib import Path
from trustdata.errors import TrustError
from trustdata.roles import TARGETS
from trustdata.wire.formats import FORMATS

def peak():  # ru_maxrss begins with that of the parent
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))

wire, raw = FORMATS[sys.argv[1]], Path(sys.argv[2]).read_bytes()
before = peak()
with suppress(TrustError):
    read = wire.parse(TARGETS, raw)
print(peak() - before)
"""


def rows(folder: Path) -> list[Row]:
    """Return a row for each format, the most that any of the files takes; and one for key files."""
    return [*(_row(wire, folder) for wire in _BUDGET), _key_files()]


def _key_files() -> Row:
    """Return what the worst of the hostile key files takes to be refused, in this process."""
    taken = {}
    for name, raw in key_files.HOSTILE.items():
        before = time.process_time()
        with suppress(KeyFileMalformed):
            read_private_blocks(raw, place="a.key")
        taken[name] = (time.process_time() - before) * 1000
    worst = max(taken, key=lambda name: taken[name])
    return Row(
        what=f"the worst key file ({worst}): refused", ours=taken[worst], peer=_KEY_FILE_MS, unit="ms", wanted=1.0
    )


def _row(wire: str, folder: Path) -> Row:
    taken = {}
    for name, raw in {**uploads.worst_admitted(wire), **uploads.beyond(wire)}.items():
        file = folder / "hostile.json"
        file.write_bytes(raw)
        command = [sys.executable, "-c", _PARSE, wire, str(file)]
        taken[name] = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    worst = max(taken, key=lambda name: taken[name])
    what = f"{wire}, the worst file ({worst}): memory"
    return Row(what=what, ours=taken[worst], peer=_BUDGET[wire], unit="MB", wanted=1.0)
