"""A command that dies in the middle, within this process: kill -9 for a few milliseconds.

From the moment of death on, whatever changes a file or asks a server raises, in every thread of the command, and so
nothing that a `finally` or an `except` does reaches the disk any more. Locks go with their descriptors, as they do when
the kernel takes a process down.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

import pytest

from tests.simulator.repository import RepositorySimulator

FILES: Final = ("mkdir", "write", "fsync", "link", "unlink", "replace")
REQUESTS: Final = ("fetch", "publish", "online_key", "new_online_key", "collection")


class Killed(BaseException):
    """The process is gone."""


class KilledRun:
    """Counts the calls with which a command changes files or asks a server, and dies before one of them.

    A publish counts twice: before the server has it, and before its answer arrives.
    """

    def __init__(self, patch: pytest.MonkeyPatch, sites: Iterable[RepositorySimulator], *, die_before: int = 0) -> None:
        """Die before call `die_before`; at 0: never."""
        self.calls = 0
        self._die_before = die_before
        self._lock = threading.Lock()
        self._threads = {threading.get_ident()}
        for name in FILES:
            self._wrap(patch, os, name)
        for site in sites:
            for name in REQUESTS:
                self._wrap(patch, site, name, answer=name == "publish")

    @property
    def dead(self) -> bool:
        """Whether it has died."""
        return 0 < self._die_before <= self.calls

    def _wrap(self, patch: pytest.MonkeyPatch, owner: object, name: str, *, answer: bool = False) -> None:
        genuine: Callable[..., Any] = getattr(owner, name)

        def counted(*arguments: Any, **named: Any) -> Any:
            self._count()
            result = genuine(*arguments, **named)
            if answer:
                self._count()
            return result

        patch.setattr(owner, name, counted)

    def _count(self) -> None:
        if threading.get_ident() not in self._threads and not threading.current_thread().name.startswith("bulk"):
            return  # of the test's own machinery
        with self._lock:
            if not self.dead:
                self.calls += 1
            if self.dead:
                raise Killed
