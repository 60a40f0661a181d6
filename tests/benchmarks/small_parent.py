"""Run a command from a small process of its own and measure it.

The kernel counts what a process is before it begins its program, so `ru_maxrss` of a child is never below the memory of
who has started it: from here every command would take what the benchmarks themselves take, some hundred MB.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Final

_LAUNCH: Final = """
import os, sys, time
result = int(sys.argv[1])
os.set_inheritable(result, False)
start = time.perf_counter()
process = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, used = os.wait4(process, 0)
seconds = time.perf_counter() - start
code = os.waitstatus_to_exitcode(status)
os.write(result, str([seconds, used.ru_utime + used.ru_stime, used.ru_maxrss, code]).encode())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What a command has used: wall time, CPU time, and the largest resident size."""

    milliseconds: float
    cpu_seconds: float
    megabytes: float


def run_measured(command: Sequence[str], *, environ: Mapping[str, str], stdout: IO[bytes] | int) -> Used:
    """Run a command to its end. Its standard error is dropped. Raises: RuntimeError if it fails."""
    ours, theirs = os.pipe()
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCH, str(theirs), *command]
    with os.fdopen(ours, "rb") as result:
        try:
            process = subprocess.Popen(
                launcher, env=environ, stdout=stdout, stderr=subprocess.DEVNULL, pass_fds=[theirs]
            )
        finally:
            os.close(theirs)
        told = result.read()
        process.wait()
    if not told:
        raise RuntimeError(f"{' '.join(command)} could not be started")
    seconds, cpu_seconds, kilobytes, code = json.loads(told)
    if code:
        raise RuntimeError(f"{' '.join(command)} ended with {code}")
    return Used(milliseconds=seconds * 1e3, cpu_seconds=cpu_seconds, megabytes=kilobytes / 1024)
