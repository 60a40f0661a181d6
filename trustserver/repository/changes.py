"""Say what a change does, for the record: files, tags, keys and delegations, within bounds.

Whoever judges an upload says it, since both sides are known there; the process that judges large uploads tells it with
its verdict. So nothing is parsed for the record (docs/adr/0082).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

from trustdata.editing.difference import (
    DelegationChange,
    DeniedChange,
    KeysChange,
    TagChange,
    changed_delegations,
    changed_denials,
    changed_keys,
    changed_tags,
)
from trustdata.envelope import Envelope
from trustdata.errors import TrustError
from trustdata.roles import RoleName
from trustserver.storage.events import canonical
from trustserver.storage.ports import StoredFile

LIST_BYTES: Final = 16 * 1024
"""The size of each list of an event, in bytes of its rows."""

Members: TypeAlias = Mapping[str, object]
"""Members of an event, of values that JSON has."""
_TAGS: Final[Mapping[str, Literal["added", "changed", "removed"]]] = {
    "added": "added",
    "moved": "changed",
    "rewritten": "changed",
    "removed": "removed",
}


class _Counted:
    """A list of rows that is cut when it is too long, and says then how many there are."""

    def __init__(self) -> None:
        self._rows: list[Members] = []
        self._bytes = 0
        self.total = 0

    def add(self, row: Members) -> None:
        """Add a row, as long as there is room. One that is too large alone is only counted."""
        self.total += 1
        size = len(canonical(row)) if self._bytes < LIST_BYTES else LIST_BYTES
        if self._bytes + size <= LIST_BYTES:
            self._rows.append(row)
            self._bytes += size

    def member(self) -> Members:
        """Return the list with the number of all rows."""
        return {"total": self.total, "listed": self._rows, "cut": self.total > len(self._rows)}


def described_files(files: Sequence[StoredFile]) -> dict[str, object]:
    """Return what an event says of the files that were stored, snapshot and timestamp first.

    The snapshot has the hashes of all roles: a list that is cut has lost none.
    """
    listed = _Counted()
    for file in reversed(files):
        listed.add({"role": file.role, "version": file.version, "sha256": file.sha256})
    return {"roles": listed.member()}


def described_changes(before: Mapping[RoleName, Envelope], after: Iterable[Envelope]) -> Members:
    """Return what an event says of tags, keys, delegations and denied digests.

    `after`: the files that an upload adds or replaces.
    """
    counts = {"added": 0, "changed": 0, "removed": 0}
    tags, keys, delegations, denied, unreadable = (_Counted() for _ in range(5))
    for envelope in after:
        role = envelope.role
        try:
            old = before[role].content if role in before else None
        except TrustError:  # it was damaged, and its owner repairs it: what it said is not known any more
            unreadable.add({"role": role})
            continue
        for tag in changed_tags(role, old, envelope.content):
            counts[_TAGS[tag.kind]] += 1
            tags.add(_tag_row(tag))
        for key in changed_keys(role, old, envelope.content):
            keys.add(_key_row(key))
        for delegation in changed_delegations(role, old, envelope.content):
            delegations.add(_delegation_row(delegation))
        for denial in changed_denials(old, envelope.content):
            denied.add(_denied_row(denial))
    found: dict[str, object] = {}
    lists = {"keys": keys, "delegations": delegations, "denied": denied, "not_compared": unreadable}
    for name, rows in lists.items():
        if rows.total:
            found[name] = rows.member()
    return found | ({"tags": {**counts, **tags.member()}} if tags.total else {})


def _tag_row(change: TagChange) -> Members:
    return {
        "role": change.role,
        "tag": change.tag,
        "before": _digest(change.before),
        "after": _digest(change.after),
    }


def _digest(sha256: str | None) -> str | None:
    return f"sha256:{sha256}" if sha256 else None


def _key_row(change: KeysChange) -> Members:
    return {
        "file": change.delegator,
        "role": change.role,
        "added": change.added,
        "removed": change.removed,
        "threshold_before": change.threshold_before,
        "threshold_after": change.threshold_after,
    }


def _delegation_row(change: DelegationChange) -> Members:
    return {"file": change.delegator, "role": change.role, "change": change.kind}


def _denied_row(change: DeniedChange) -> Members:
    """Return a row without the reason: it is foreign text, and whoever wants it has it in the file."""
    return {"digest": change.digest, "change": change.kind}
