"""Durations and times that users type as options."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from trustcli.errors import UsageError
from trustdata.duration import parse_duration
from trustdata.errors import shown

DEFAULT_MAX_AGE: Final = "24h"
"""How long ago the last refresh may be, with `--offline` alone."""


def duration_option(option: str, text: str) -> timedelta:
    """Return the duration that an option names: `90m`, `24h`, `7d`. Raises: UsageError, which names the option."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def offline_bound(max_age: str | None, *, offline: bool) -> timedelta | None:
    """Return how long ago the last refresh may be, by `--offline` and `--max-age`; None if the server is asked.

    Raises: UsageError.
    """
    if offline:
        return duration_option("--max-age", max_age or DEFAULT_MAX_AGE)
    if max_age is not None:
        raise UsageError("--max-age bounds --offline, which is not given")
    return None


def time_option(text: str, *, now: datetime) -> datetime:
    """Return the time (UTC) that an option names: a day, which begins at 00:00 UTC, a time with its zone, or `+90d`.

    Raises: UsageError.
    """
    wrong = f"--at {shown(text)} is no time: write 2027-12-01, 2027-12-01T12:00:00Z, or +90d for 90 days from now"
    try:
        if text.startswith("+"):
            return now + parse_duration(text[1:])
        found = datetime.fromisoformat(text)
        if found.tzinfo is None and ":" in text:
            raise UsageError(f"--at {shown(text)} has no zone: write Z behind it for UTC, or +02:00")
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(wrong) from error
