"""Text that others have written, as it may reach a terminal, a log or a message."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from keys.rfc3339 import to_rfc3339


def shown(text: str, limit: int = 120) -> str:
    """Return foreign text in a form that is safe to print: control characters escaped, cut after `limit` characters."""
    safe = text[: limit + 1]
    if not safe.isprintable():
        safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in safe)
    return safe if len(safe) <= limit else safe[:limit] + "…"


def plain_value(value: object) -> object:
    """Return a value of an error for JSON: times and texts as they may be printed."""
    if isinstance(value, datetime):
        return to_rfc3339(value)
    if isinstance(value, str):
        return shown(value, 400)
    if isinstance(value, tuple | list):
        return [plain_value(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): plain_value(v) for k, v in value.items()}
    return value
