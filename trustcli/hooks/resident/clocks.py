"""Measure with two clocks how long ago something was: either of them alone may have jumped or stood still."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from keys.record import record

CLOCK_TOLERANCE: Final = 60.0
"""Seconds by which the clock may fall behind the machine's own time without having been set back.

Clocks that are slewed gain or lose up to 500 ppm, which is 43 s in a day.
"""


@record
class Moment:
    """One moment by both clocks. `wall`: UTC. `ticks`: seconds since some start, which nobody can set."""

    wall: datetime
    ticks: float


@record
class Elapsed:
    """The time between two moments. `seconds`: by the clock that says more, never negative.

    `latest`: what time it is at least, by both clocks: what has expired by then has expired. `went_back`: the clock was
    set back in between.
    """

    seconds: float
    latest: datetime
    went_back: bool


@record
class Clocks:
    """The clocks of a process that stays. `wall`: what time it is (UTC). `ticks`: seconds, as `Moment.ticks`."""

    wall: Callable[[], datetime]
    ticks: Callable[[], float]

    def moment(self) -> Moment:
        """Return the present moment."""
        return Moment(wall=self.wall(), ticks=self.ticks())


def elapsed(then: Moment, now: Moment) -> Elapsed:
    """Return how long ago a moment was.

    The wall clock misses nothing but may be set; the other cannot be set, but may stand still while a machine sleeps.
    So the greater of the two differences counts.
    """
    by_wall, by_ticks = (now.wall - then.wall).total_seconds(), now.ticks - then.ticks
    seconds = max(by_wall, by_ticks, 0.0)
    return Elapsed(
        seconds=seconds,
        latest=then.wall + timedelta(seconds=seconds),
        went_back=by_wall < by_ticks - CLOCK_TOLERANCE,
    )


def seconds_since_boot() -> float:
    """Return seconds of a clock that nobody can set, and that goes on while the machine sleeps, where there is one."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)
