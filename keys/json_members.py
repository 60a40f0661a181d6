"""Read the members of a JSON object, and refuse one that has the same member twice."""

from __future__ import annotations

from typing import Any


def unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of an object, as the `object_pairs_hook` of `json.loads`. Raises: ValueError: a double one."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members
