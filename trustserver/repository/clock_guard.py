"""Stop signing when the server's clock has jumped forward (docs/adr/0047).

What is signed while the clock is ahead stays valid for the length of the jump, so whoever records it can show it for
that long: a revoked tag, a removed signer. A clock that is too early harms nobody, since what it signs expires sooner.
So only a forward jump stops the signing of snapshots and timestamps. Reads go on. There are two rules:

- While the server runs, its clock may gain one hour in a week on the uptime of the machine, which nobody can set.
- At the start, it may be seven days after the last round of upkeep, which the store has recorded; or later, if the
  kernel says that its clock is synchronised. A clock that is early at the start is judged by this rule when it is set.
  For an hour it is taken to be early; after that it is taken to be right, and the last round to have been recorded by
  a clock that was ahead.

Signing goes on when the clock is right again, or when the operator has accepted it (`trust-server clock accept`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from trustserver.errors import ClockJumped
from trustserver.storage.ports import MetadataStore

MAX_GAIN: Final = timedelta(hours=1)
"""How much the clock may gain on the uptime within GAIN_PERIOD."""
GAIN_PERIOD: Final = timedelta(days=7)
"""After this time a gain is forgotten, or the pauses of a virtual machine would add up until nothing is signed."""
MAX_ABSENCE: Final = timedelta(days=7)
"""How long after the last round of upkeep the server may start without being asked whether its clock is right."""
MAX_EARLY: Final = timedelta(hours=1)
"""How long after the start a clock that is behind the last round is taken to be early."""


class ClockGuard:
    """Judges the server's clock before anything is signed with it. May be called from several threads.

    `uptime`: seconds on a clock that nobody sets. `is_synchronised`: whether the kernel says that its clock is right.
    """

    def __init__(
        self, store: MetadataStore, *, uptime: Callable[[], float], is_synchronised: Callable[[], bool]
    ) -> None:
        self._store = store
        self._uptime = uptime
        self._is_synchronised = is_synchronised
        self._lock = Lock()
        self._reference: tuple[datetime, float] | None = None
        """A time at which the clock was trusted, and the uptime at that moment."""
        self._early: tuple[datetime, float] | None = None
        """The last round that was recorded, if the clock was behind it at the start, and the uptime at the start."""
        self.refusal: ClockJumped | None = None
        """The result of the last check, for those who only report it."""

    def check(self, at: datetime) -> None:
        """Check that the clock, which says `at`, may be signed with. Raises: ClockJumped, NotStored."""
        with self._lock:
            self.refusal = self._judge(at)
            if self.refusal is not None:
                raise self.refusal

    def is_early(self, at: datetime) -> bool:
        """Return whether the clock, which was checked, is taken to be behind: its machine does not know the time yet.

        Files that seem to live too long are good then, and what is signed now has expired already.
        """
        with self._lock:
            if self._early is None:
                return False
            last_round, uptime_then = self._early
            return at < last_round and self._uptime() - uptime_then < MAX_EARLY.total_seconds()

    def record_round(self, at: datetime) -> None:
        """Record that a round of upkeep was done at this time, which was checked. Raises: NotStored."""
        if not self.is_early(at):
            self._store.record_round(at)

    def _judge(self, at: datetime) -> ClockJumped | None:
        uptime = self._uptime()
        if self._reference is not None and uptime < self._reference[1]:
            self._reference = None  # another machine's: the process was restored there
        if self._reference is None:
            return self._judge_start(at, uptime)
        if self._early is not None and at < self._early[0] and self._is_synchronised():
            self._early = None
        since, uptime_then = self._reference
        expected = since + timedelta(seconds=uptime - uptime_then)
        if at - expected <= MAX_GAIN:
            if at > expected and uptime - uptime_then >= GAIN_PERIOD.total_seconds():
                self._reference = (at, uptime)
            return None
        set_right = self._early is not None and self._follows(self._early[0], at)
        if not set_right and not self._is_accepted(at):
            return ClockJumped(clock=at, expected=expected, at_start=False)
        self._trust(at, uptime)
        return None

    def _is_accepted(self, at: datetime) -> bool:
        """Return whether an operator has accepted the clock at about this time."""
        accepted = self._store.clock_record().accepted
        return accepted is not None and abs(at - accepted) <= MAX_GAIN

    def _judge_start(self, at: datetime, uptime: float) -> ClockJumped | None:
        last = self._store.clock_record().last_round
        if last is not None and not self._follows(last, at):
            return ClockJumped(clock=at, expected=last, at_start=True)
        self._trust(at, uptime)
        if last is not None and at < last and not self._is_synchronised():
            self._early = (last, uptime)
        return None

    def _follows(self, last_round: datetime, at: datetime) -> bool:
        return at - last_round <= MAX_ABSENCE or self._is_synchronised()

    def _trust(self, at: datetime, uptime: float) -> None:
        self._reference = (at, uptime)
        self._early = None
