"""GETs of one file with wrk, over connections that stay open or not: CPU of server and database per request."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence

from tests.benchmarks import cpu
from tests.support.programs import program

_SECONDS = 5


def cpu_per_request(url: str, pids: list[int], *, connections: int = 2, headers: Sequence[str] = ()) -> float:
    """Microseconds of CPU for one request, after a warm-up. Raises: RuntimeError if requests fail."""
    _load(url, connections, headers, seconds=1)
    before = cpu.settle(pids)
    requests = _load(url, connections, headers, seconds=_SECONDS)
    return (cpu.settle(pids) - before) / requests * 1e6


def requests_per_second(url: str, *, seconds: int, connections: int = 2, headers: Sequence[str] = ()) -> float:
    """Return the rate of GETs; requests that fail do not count."""
    options = [part for header in headers for part in ("-H", header)]
    command = [
        program("wrk"),
        "-t",
        "1",
        "-c",
        str(connections),
        "-d",
        f"{seconds}s",
        "--timeout",
        "10s",
        *options,
        url,
    ]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    done, failed = re.search(r"(\d+) requests in", output), re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    return (int(done[1]) - (int(failed[1]) if failed else 0)) / seconds if done else 0.0


def _load(url: str, connections: int, headers: Sequence[str], *, seconds: int) -> int:
    options = [part for header in headers for part in ("-H", header)]
    command = [program("wrk"), "-t", "1", "-c", str(connections), "-d", f"{seconds}s", *options, url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(output)
    found = re.search(r"(\d+) requests in", output)
    if found is None:
        raise RuntimeError(output)
    return int(found[1])
