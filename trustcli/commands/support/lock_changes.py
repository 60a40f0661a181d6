"""What `trust lock` changes: the same values for people and as JSON.

    + registry.example.com/team/app
        root         1  sha256:...
        targets      4
    ~ registry.example.com/team/other
        root         1 -> 2  sha256:...
      + targets/bob  1
    - registry.example.com/team/gone

A version goes down only if a root has replaced the online keys: what was verified under the old ones is void then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from trustdata.errors import shown
from trustdata.gun import GUN
from trustdata.roles import ROOT, RoleName
from trustdata.verification.lock_document import role_order
from trustdata.verification.lock_entry import LockEntry

_MARKS: Final = {"added": "+", "changed": "~", "removed": "-"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LockChange:
    """The entry of one name before and after; None if the lock file has no entry for it."""

    gun: GUN
    before: LockEntry | None
    after: LockEntry | None

    @property
    def kind(self) -> Literal["added", "changed", "removed", "unchanged"]:
        """What happens to the entry."""
        if self.before == self.after:
            return "unchanged"
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"


def lock_changes(before: Mapping[GUN, LockEntry], after: Mapping[GUN, LockEntry]) -> list[LockChange]:
    """Return one change for every name that has an entry before or after, sorted by name."""
    return [LockChange(gun=gun, before=before.get(gun), after=after.get(gun)) for gun in sorted({*before, *after})]


def change_lines(change: LockChange) -> Iterator[str]:
    """Return the lines for people; none if nothing changes."""
    if change.kind == "unchanged":
        return
    yield f"{_MARKS[change.kind]} {change.gun}"
    if change.after is None:
        return
    changed = [
        (role, old, new)
        for role, old, new in _versions_by_role(change)
        if old != new or (role == ROOT and _root_changed(change))
    ]
    width = max((len(shown(role)) for role, _, _ in changed), default=0)
    for role, old, new in changed:
        mark = " "
        if new is None:
            mark = "-"
        elif old is None and change.before is not None:  # in a new entry every role is new
            mark = "+"
        versions = f"{old} -> {new}" if old is not None and new is not None else str(new if old is None else old)
        root = f"  {change.after.root}" if role == ROOT else ""
        yield f"  {mark} {shown(role).ljust(width)}  {versions}{root}"


def change_row(change: LockChange) -> dict[str, object]:
    """Return the change for JSON."""
    return {
        "gun": change.gun,
        "change": change.kind,
        "before": _entry_members(change.before),
        "after": _entry_members(change.after),
    }


def _root_changed(change: LockChange) -> bool:
    return change.before is None or change.after is None or change.before.root != change.after.root


def _versions_by_role(change: LockChange) -> list[tuple[str, int | None, int | None]]:
    """Return each role with its version before and after."""
    old, new = _versions(change.before), _versions(change.after)
    return [(role, old.get(role), new.get(role)) for role in sorted({*old, *new}, key=role_order)]


def _versions(entry: LockEntry | None) -> dict[RoleName, int]:
    """Return the version of root and the minimum versions of the other roles; empty for no entry."""
    return {} if entry is None else {ROOT: entry.root_version, **entry.minimum}


def _entry_members(entry: LockEntry | None) -> dict[str, object] | None:
    if entry is None:
        return None
    return {
        "format": entry.format,
        "root_version": entry.root_version,
        "root": str(entry.root),
        "minimum": {role: entry.minimum[role] for role in sorted(entry.minimum, key=role_order)},
    }
