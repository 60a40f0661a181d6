"""Ask the kernel about time: which it is, how long it runs, and whether something keeps its clock right. Linux."""

from __future__ import annotations

import ctypes
import time
from datetime import UTC, datetime
from typing import Final

_TIME_ERROR: Final = 5
"""The state in which nothing keeps the clock right, as adjtimex(2) names it."""
_TIMEX_BYTES: Final = 512
"""More than `struct timex` takes in any ABI. All zero, it asks for the state and changes nothing."""


def now() -> datetime:
    """Return the current time. No other function of the server reads the clock."""
    return datetime.now(UTC)


def uptime() -> float:
    """Return the seconds since the machine started: no correction of the clock changes it, and suspension counts."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def is_synchronised() -> bool:
    """Return whether the kernel says that its clock is synchronised, as by NTP; False if it cannot be asked."""
    request = (ctypes.c_long * (_TIMEX_BYTES // ctypes.sizeof(ctypes.c_long)))()
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(request))
    except (OSError, AttributeError):
        return False
    return bool(0 <= state < _TIME_ERROR)
