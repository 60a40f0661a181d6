"""`rotations.json`: key rotations that have begun and are not finished, so that the same command goes on with them.

{"version": 1, "rotations": [
  {"role": "root", "key": "", "begun": "2026-01-02T03:04:05Z", "names": ["registry.example.com/team/app"],
   "collections": {"registry.example.com/team/app": {"new": "<fingerprint>", "before": ["<fingerprint>"]}}}]}

A collection is written down before its new root is sent, and an entry is taken out when each of its names is done. It
says nothing about trust: whether a key has been replaced is read in the verified root.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from keys.document_version import DocumentKind
from keys.rfc3339 import from_rfc3339, to_rfc3339
from trustcli.errors import SettingsUnusable
from trustcli.state.guarded_file import GuardedFile
from trustdata import bounded_json
from trustdata.document_version import refuse_newer
from trustdata.errors import InvalidName
from trustdata.gun import GUN, parse_gun
from trustdata.roles import RoleName

RESUMED_FOR: Final = timedelta(days=1)
"""How long the same command goes on with what has begun; later it is meant anew."""
KIND: Final = DocumentKind(what="a record of unfinished rotations")


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunRotation:
    """What was about to be sent for one collection: the fingerprints of the role's new key, and of those before it."""

    new: str
    before: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfinishedRotation:
    """One command that has begun. `key`: the new key that the user has named; empty: one is made. `begun`: UTC."""

    role: RoleName
    key: str
    begun: datetime
    names: frozenset[GUN]
    collections: Mapping[GUN, BegunRotation] = field(default_factory=dict)


class RotationsFile:
    """The unfinished rotations of this user."""

    def __init__(self, path: Path) -> None:
        self._file = GuardedFile(path)

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._file.path

    def resumed(self, role: RoleName, key: str, guns: Iterable[GUN], *, at: datetime) -> UnfinishedRotation:
        """Return the rotation that this command goes on with: one of the last day with its names; else a new one.

        Raises: SettingsUnusable, FileNewer, FileExposed.
        """
        names = frozenset(guns)
        for entry in self._load():
            since = at - entry.begun
            same = (entry.role, entry.key) == (role, key) and names <= entry.names
            if same and abs(since) <= RESUMED_FOR:
                return entry
        return UnfinishedRotation(role=role, key=key, begun=at.astimezone(UTC).replace(microsecond=0), names=names)

    def replaced(self, role: RoleName, gun: GUN) -> frozenset[str]:
        """Return the fingerprints of the keys that any rotation of the file was about to replace in this role.

        Raises: SettingsUnusable, FileNewer, FileExposed.
        """
        entries = [entry for entry in self._load() if entry.role == role and gun in entry.collections]
        return frozenset(key for entry in entries for key in entry.collections[gun].before)

    def begin(self, entry: UnfinishedRotation, gun: GUN, begun: BegunRotation) -> UnfinishedRotation:
        """Write down what is about to be sent, durably, and return the entry with it.

        Raises: SettingsUnusable, FileNewer, FileExposed, MemoryUnwritable.
        """
        after = replace(entry, collections={**entry.collections, gun: begun})

        def with_it() -> bytes:
            others = (other for other in self._load() if not _same(other, entry))
            return _document([after, *(other for other in others if entry.begun - other.begun <= RESUMED_FOR)])

        self._file.change(with_it)
        return after

    def finish(self, entry: UnfinishedRotation, guns: Iterable[GUN]) -> None:
        """Take these names out of the entry, and the entry out of the file if none is left.

        Raises: SettingsUnusable, FileNewer, FileExposed, MemoryUnwritable.
        """
        done = frozenset(guns)

        def remaining() -> bytes | None:
            known = self._load()
            if not any(_same(other, entry) for other in known):
                return None
            return _document([kept for other in known if (kept := _without(other, done, entry)) is not None])

        self._file.change(remaining)

    def _load(self) -> list[UnfinishedRotation]:
        try:
            raw = self._file.read()
        except OSError as error:
            raise self._unusable(error.strerror or type(error).__name__) from error
        if raw is None:
            return []
        try:
            document = bounded_json.loads(raw)
            refuse_newer(KIND, document, path=str(self._file.path))
            if not KIND.is_known(document):
                raise self._unusable("is damaged; remove it if no rotation is to be gone on with")
            return [_entry(members) for members in document["rotations"]]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidName) as error:
            raise self._unusable("is damaged; remove it if no rotation is to be gone on with") from error

    def _unusable(self, reason: str) -> SettingsUnusable:
        return SettingsUnusable(place=str(self._file.path), reason=reason)


def _same(one: UnfinishedRotation, other: UnfinishedRotation) -> bool:
    return (one.role, one.key, one.begun, one.names) == (other.role, other.key, other.begun, other.names)


def _without(other: UnfinishedRotation, done: frozenset[GUN], entry: UnfinishedRotation) -> UnfinishedRotation | None:
    if not _same(other, entry):
        return other
    names = other.names - done
    kept = {gun: begun for gun, begun in other.collections.items() if gun in names}
    return replace(other, names=names, collections=kept) if names else None


def _entry(members: Mapping[str, object]) -> UnfinishedRotation:
    names, collections = members["names"], members["collections"]
    if not isinstance(names, list) or not isinstance(collections, dict):
        raise TypeError
    return UnfinishedRotation(
        role=RoleName(_text(members["role"])),
        key=_text(members["key"]),
        begun=from_rfc3339(_text(members["begun"])),
        names=frozenset(parse_gun(_text(name)) for name in names),
        collections={
            parse_gun(name): BegunRotation(new=_text(one["new"]), before=tuple(map(_text, one["before"])))
            for name, one in collections.items()
        },
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _document(entries: Iterable[UnfinishedRotation]) -> bytes:
    rows = [
        {
            "role": entry.role,
            "key": entry.key,
            "begun": to_rfc3339(entry.begun),
            "names": sorted(entry.names),
            "collections": {
                gun: {"new": begun.new, "before": sorted(begun.before)} for gun, begun in entry.collections.items()
            },
        }
        for entry in entries
    ]
    return json.dumps({KIND.member: KIND.stated, "rotations": rows}, indent=1).encode() + b"\n"
