"""Times in the database: whole seconds since 1970 (UTC), which every database sorts and compares in the same way."""

from __future__ import annotations

from datetime import UTC, datetime


def to_seconds(at: datetime) -> int:
    """Return a time as it is stored; fractions of a second are cut off."""
    return int(at.timestamp())


def to_optional_seconds(at: datetime | None) -> int | None:
    """Return a time as it is stored, or None."""
    return None if at is None else to_seconds(at)


def from_seconds(seconds: int) -> datetime:
    """Return a stored time, in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def from_optional_seconds(seconds: int | None) -> datetime | None:
    """Return a stored time, or None."""
    return None if seconds is None else from_seconds(seconds)
