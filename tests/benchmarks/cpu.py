"""CPU time of processes, from /proc: user and system, children that have ended included."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> set[int]:
    """A process and everything below it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = set(), [pid]
    while queue:
        process = queue.pop()
        found.add(process)
        queue += children.get(process, [])
    return found


def seconds(pids: Iterable[int]) -> float:
    """CPU seconds that these processes and their descendants have used so far."""
    ticks = 0
    for pid in {process for root in pids for process in tree(root)}:
        fields = _stat(pid)
        if fields:
            ticks += sum(int(field) for field in fields[11:15])  # utime, stime, cutime, cstime (proc(5))
    return ticks / _TICK


def megabytes(pid: int) -> float:
    """Resident memory of a process and its descendants, shared pages counted once for each."""
    pages = sum(int(fields[21]) for fields in map(_stat, tree(pid)) if fields)  # rss (proc(5))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def settle(pids: list[int]) -> float:
    """CPU seconds once the processes have come to rest: what a request started may end after its answer."""
    before = seconds(pids)
    while True:
        time.sleep(0.3)
        now = seconds(pids)
        if now - before <= 2 / _TICK:
            return now
        before = now


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on (state first); empty if the process is gone."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
