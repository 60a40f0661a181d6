"""What time it is by a server: the header Date of its answers. Nobody has signed it, so nothing is decided by it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

CLOCKS_AGREE: Final = timedelta(minutes=5)
"""How far two clocks may be apart without being worth a word."""


def told_time(date: str) -> datetime | None:
    """Return the time in a header Date (RFC 9110, 5.6.7), in UTC; None if there is none that can be read."""
    from email.utils import parsedate_to_datetime  # only when it is asked for: start-up time

    try:
        told = parsedate_to_datetime(date)
        return told.astimezone(UTC) if told.tzinfo is not None else told.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # the latter: a time before year 1 or after 9999, or an offset of years
        return None


def in_words(span: timedelta) -> str:
    """Return a span for people: minutes, from two hours on hours, from two days on days."""
    minutes = int(span.total_seconds()) // 60
    days = round(span / timedelta(days=1))  # an answer takes time: five days less a second are five
    return f"{minutes} minutes" if minutes < 120 else f"{minutes // 60} hours" if minutes < 2880 else f"{days} days"


def clock_difference(told: datetime, at: datetime) -> str:
    """Return how far the clock here is from a server's, as `12 minutes behind`; "" if they agree."""
    apart = abs(told - at)
    if apart <= CLOCKS_AGREE:
        return ""
    return f"{in_words(apart)} {'behind' if told > at else 'ahead of'}"
