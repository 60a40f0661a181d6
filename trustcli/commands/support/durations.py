"""Durations that users type as options."""

from __future__ import annotations

from datetime import timedelta

from trustcli.errors import UsageError
from trustdata.duration import parse_duration


def duration_option(option: str, text: str) -> timedelta:
    """Return the duration that an option names: `90m`, `24h`, `7d`. Raises: UsageError, which names the option."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
