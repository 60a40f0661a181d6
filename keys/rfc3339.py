"""Times as text: RFC 3339 in UTC and whole seconds, `2026-11-29T20:35:19Z`. Files, JSON and logs have this form."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_FORM: Final = "%Y-%m-%dT%H:%M:%SZ"


def to_rfc3339(at: datetime) -> str:
    """Return a time as text. `at`: with its zone."""
    return at.astimezone(UTC).strftime(_FORM)


def from_rfc3339(text: str) -> datetime:
    """Return the time that a text says, in this one form. Raises: ValueError."""
    return datetime.strptime(text, _FORM).replace(tzinfo=UTC)
