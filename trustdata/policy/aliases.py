"""Aliases: names under which a registry serves what is signed under another name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from keys.record import record
from trustdata.collection_patterns import pattern_matches
from trustdata.gun import GUN
from trustdata.policy.rule import carried


@record
class Alias:
    """What a registry calls `name` is signed as `trust`. Both are whole names, or both beginnings before `/*`."""

    name: str
    trust: str

    def trust_name(self, gun: GUN) -> GUN:
        """Return the name that is signed, of a name that the alias is about."""
        return carried(self.name, self.trust, gun)


def alias_for(aliases: Iterable[Alias], gun: GUN) -> Alias | None:
    """Return the alias of a name, of which there is one at most."""
    return next((alias for alias in aliases if pattern_matches(alias.name, gun)), None)


def overlap(one: str, other: str) -> bool:
    """Return whether some name matches both patterns."""
    return pattern_matches(one, _name_in(other)) or pattern_matches(other, _name_in(one))


def _name_in(pattern: str) -> GUN:
    return GUN(f"{pattern[:-1]}x" if pattern.endswith("*") else pattern)


def fault_of(aliases: Sequence[Alias]) -> tuple[int, str, str] | None:
    """Return the first fault as the index of an alias, the member and the reason; None if there is none.

    A name has one alias at most, and what an alias names is none itself: whose pins and memory count must be seen in
    one line.
    """
    for index, alias in enumerate(aliases):
        if any(overlap(alias.name, earlier.name) for earlier in aliases[:index]):
            return index, "name", "is a name, or holds one, that another alias is about"
        if any(overlap(alias.trust, each.name) for each in aliases):
            return index, "trust", "is an alias itself, or holds one; name what is signed"
    return None
