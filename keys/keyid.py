"""Key ids as people see them."""

from __future__ import annotations

from typing import Final

_DIGITS_SHOWN: Final = 12
"""So many digits tell the keys of anybody apart, and are what commands take for the whole id."""


def short_keyid(keyid: str) -> str:
    """Return the first digits of a key id, by which messages name a key."""
    return keyid[:_DIGITS_SHOWN]
