"""GET of timestamp.json with wrk and two keep-alive connections: CPU of server and database per request."""

from __future__ import annotations

import re
import subprocess

from tests.benchmarks import cpu
from tests.peers.programs import program

_SECONDS = 5


def cpu_per_request(url: str, pids: list[int], *, connections: int = 2) -> float:
    """Microseconds of CPU for one request, after a warm-up. Raises: RuntimeError if requests fail."""
    _load(url, connections, seconds=1)
    before = cpu.settle(pids)
    requests = _load(url, connections, seconds=_SECONDS)
    return (cpu.settle(pids) - before) / requests * 1e6


def _load(url: str, connections: int, *, seconds: int) -> int:
    command = [program("wrk"), "-t", "1", "-c", str(connections), "-d", f"{seconds}s", url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(output)
    found = re.search(r"(\d+) requests in", output)
    if found is None:
        raise RuntimeError(output)
    return int(found[1])
