"""Durations that users type as options."""

from __future__ import annotations

from datetime import timedelta

from trustcli.errors import UsageError
from trustdata.duration import parse_duration


def duration_option(text: str) -> timedelta:
    """Return the duration that an option names: `90m`, `24h`, `7d`. Raises: UsageError."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(str(error)) from error
