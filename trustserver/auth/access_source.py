"""Keep what the server knows about access up to date while it runs: the file of rules is looked at every second.

A thread of its own looks, so that no request waits for a disk. What cannot be read changes nothing: the server goes on
with what it knew, and says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Final

from trustdata.errors import TrustError
from trustserver.auth.access_file import load_rules
from trustserver.auth.rules import AccessRules

LOOK_SECONDS: Final = 1.0
"""Seconds between two looks: for so long, and for the time that reading takes, a right that is taken away counts on."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessState:
    """What is known about access at one moment. `has_rules`: whether there is a file of rules."""

    rules: AccessRules = field(default_factory=AccessRules)
    has_rules: bool = False

    @property
    def decides(self) -> bool:
        """Whether rules decide. If not, nobody has said who may do what."""
        return self.has_rules


class AccessSource:
    """Reads the file of rules again when it has changed. `state` is replaced as a whole."""

    def __init__(self, file: Path | None = None, *, check: Callable[[AccessRules], None] = lambda _: None) -> None:
        """Read all of it for the first time. `check`: raises StartRefused for rules that this server must not have.

        Raises: StartRefused, FileNewer.
        """
        self._file = file
        self._check = check
        self._seen = _mark(file)
        self.state = AccessState() if file is None else AccessState(rules=self._load(file), has_rules=True)
        self.failure = ""
        """Why the newest file of rules does not count; empty if it does."""
        self.failures = 0
        """How many files of rules did not count since the start."""
        self._changed: list[Callable[[], None]] = []
        self._looking = Lock()
        self._wake = Event()
        self._closed = False
        self._thread: Thread | None = None
        self._warn(self.state.rules)

    def on_change(self, call: Callable[[], None]) -> None:
        """Have a function called, from the thread that looks, after each change of `state`."""
        self._changed.append(call)

    def start(self) -> None:
        """Begin to look every LOOK_SECONDS, in a thread."""
        self._thread = Thread(target=self._look_on, name="access", daemon=True)
        self._thread.start()

    def look_now(self) -> None:
        """Have the thread look at once, without waiting for it, as at SIGHUP."""
        self._wake.set()

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def refresh(self, *, unchanged_too: bool = False) -> None:
        """Look whether anything has changed, and take it. `unchanged_too`: read what looks as before, too."""
        with self._looking:
            self._refresh_rules(unchanged_too=unchanged_too)

    def _refresh_rules(self, *, unchanged_too: bool) -> None:
        if self._file is None:
            return
        mark = _mark(self._file)
        if mark == self._seen and not unchanged_too:
            return
        self._seen = mark
        try:
            rules = self._load(self._file)
        except TrustError as error:
            self.failure = str(error)
            self.failures += 1
            _log.error("the rules stay as they were: the new file does not count", extra={"reason": self.failure})
            return
        self.failure = ""
        if rules != self.state.rules:
            self._take(AccessState(rules=rules, has_rules=True))
            self._warn(rules)
            _log.warning("new rules on who may do what", extra={"file": str(self._file), "rules": len(rules.rules)})

    def _load(self, file: Path) -> AccessRules:
        rules = load_rules(file)
        self._check(rules)
        return rules

    def _take(self, state: AccessState) -> None:
        self.state = state
        for call in self._changed:
            call()

    def _look_on(self) -> None:
        while not self._closed:
            asked = self._wake.wait(LOOK_SECONDS)
            self._wake.clear()
            if not self._closed:
                self.refresh(unchanged_too=asked)

    @staticmethod
    def _warn(rules: AccessRules) -> None:
        for warning in rules.warnings:
            _log.warning("odd in the rules", extra={"reason": warning})


def _mark(file: Path | None) -> object:
    """Return what changes when a file does; None if it cannot be looked at."""
    try:
        status = None if file is None else file.stat()
    except OSError:
        return None
    return None if status is None else (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
