"""Numbers of things in sentences."""

from __future__ import annotations


def counted(number: int, noun: str, *, plural: str = "") -> str:
    """Return the number with its noun: `1 tag`, `2 tags`. `plural`: the noun for several, if it does not end in s."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
