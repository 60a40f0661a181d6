"""Processes that a test run leaves behind: its children, and what its children left to it."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_ZOMBIE = "Z"


def adopt_orphans() -> None:
    """From now on a process whose parent dies becomes a child of this one (Linux), so that it is seen at the end."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def running_children() -> dict[int, str]:
    """Process ids and command lines of children that run; ended ones do not count."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # "PID (NAME) STATE PPID ..."; the name may hold anything, parentheses too.
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == os.getpid() and state != _ZOMBIE:
            found[int(folder.name)] = command
    return found
