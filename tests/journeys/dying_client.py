"""`trust` that kills itself (SIGKILL) before the N-th call with which it changes files or talks to a server.

Reads one JSON object a line: {"argv": [...], "cwd": DIR, "environ": {...}, "die_before": N or null}; runs each command
in a forked child, so that starting up costs nothing, and answers with one line:
{"status": exit status, or minus the signal, "calls": how many there were, "stdout": ..., "stderr": ...}.
The calls are wrapped from outside: the program has no switch for this.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any

from tests.support.cheap_keys import seal_cheaply
from trustcli.__main__ import run

FILES = ("mkdir", "write", "fsync", "link", "unlink", "replace")
SOCKETS = ("connect", "send", "recv_into")


class Countdown:
    """Counts calls in a file, so that the parent can read how many there were."""

    def __init__(self, die_before: int | None, counter: int) -> None:
        self._die_before = die_before
        self._counter = counter
        self._calls = 0
        self._lock = threading.Lock()

    def wrap(self, owner: object, name: str) -> None:
        genuine: Callable[..., Any] = getattr(owner, name)

        def counted(*arguments: Any, **named: Any) -> Any:
            with self._lock:
                self._calls += 1
                if self._calls == self._die_before:
                    os.kill(os.getpid(), signal.SIGKILL)
                os.pwrite(self._counter, self._calls.to_bytes(8, "big"), 0)
            return genuine(*arguments, **named)

        setattr(owner, name, counted)


def child(order: dict[str, Any], stdout: int, stderr: int, counter: int) -> None:
    """Never returns."""
    status = 70
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        os.chdir(order["cwd"])
        os.environ.clear()
        os.environ.update(order["environ"])
        countdown = Countdown(order["die_before"], counter)
        for name in FILES:
            countdown.wrap(os, name)
        for name in SOCKETS:
            countdown.wrap(socket.socket, name)
        status = run(order["argv"])
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def perform(order: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr, tempfile.TemporaryFile() as counter:
        pid = os.fork()
        if pid == 0:
            child(order, stdout.fileno(), stderr.fileno(), counter.fileno())
        _, ended = os.waitpid(pid, 0)
        for file in (stdout, stderr, counter):
            file.seek(0)
        return {
            "status": os.waitstatus_to_exitcode(ended),
            "calls": int.from_bytes(counter.read(8), "big"),
            "stdout": stdout.read().decode(),
            "stderr": stderr.read().decode(),
        }


if __name__ == "__main__":
    seal_cheaply()
    for line in sys.stdin:
        print(json.dumps(perform(json.loads(line))), flush=True)  # noqa: T201 - the protocol
