"""Durations as users type them: `90m`, `24h`, `7d`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

_SPAN: Final = re.compile(r"([0-9]+)([smhd])")
_MAX_DIGITS: Final = 6
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(text: str) -> timedelta:
    """Return the duration of a whole number and one of s, m, h, d. Raises: ValueError."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no span of time; write 45s, 90m, 24h or 7d")
    if len(match[1]) > _MAX_DIGITS:
        raise ValueError(f"{text!r} is too long: a number may have {_MAX_DIGITS} digits")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def typed_duration(span: timedelta) -> str:
    """Return a duration as users type it, in the largest unit that divides it; parts of a second are left out."""
    seconds = int(span.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
