"""The witness: the highest revision of every collection that this server has published, kept beside the database.

A database that was restored from a backup cannot know that it is old: everything in it is in order. So each change
leaves a line in a file of its own. Lines are appended without waiting for the disk, which costs a publish some
microseconds: a power cut may lose the newest of them, and what is lost is only not noticed. The file is never ahead of
the database.

    {"format":"content-trust-witness-1","database":"<mark of the seal key>"}
    {"gun":"registry.example.com/app","revision":7,"versions":{"snapshot":7,"targets":5,"timestamp":7}}
    {"gun":"registry.example.com/app","revision":8,"deleted":true}
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final

import orjson

from keys.durable_file import write_durably
from trustdata.gun import GUN
from trustdata.roles import RoleName
from trustserver.storage.ports import Status, Summary

_FORMAT: Final = "content-trust-witness-1"
_REWRITE_AFTER: Final = 4 * 1024 * 1024
"""Bytes of appended lines after which the file is written anew: some thirty thousand changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """What was published of one collection. `versions`: the highest of each role, as far as it is known."""

    revision: int
    versions: Mapping[RoleName, int] = field(default_factory=dict)
    deleted: bool = False

    def merge(self, later: LogEntry) -> LogEntry:
        """Both together; a deletion ends what was before."""
        if later.revision < self.revision:
            return later.merge(self)
        if later.deleted:
            return later
        versions = {
            role: max(self.versions.get(role, 0), later.versions.get(role, 0))
            for role in {**self.versions, **later.versions}
        }
        return LogEntry(revision=later.revision, versions=versions)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutdatedCollection:
    """A collection of which more was published than the database holds."""

    gun: GUN
    stored: int
    logged: LogEntry


class PublishedLogFile:
    """The file at `path` for the database with this `mark`. Safe to call from several threads."""

    def __init__(self, path: Path, *, mark: str) -> None:
        self._path = path
        self._mark = mark
        self._lock = Lock()
        self._descriptor: int | None = None
        self._line_is_cut = False
        self._appended_bytes = 0

    def load(self) -> dict[GUN, LogEntry] | None:
        """What the file tells of this database; None if it is of another one, or not there.

        Lines that cannot be read are passed over: a power cut may have cut off the last one.
        """
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError:
            return None
        if not lines or _parse_object(lines[0]) != {"format": _FORMAT, "database": self._mark}:
            return None
        found: dict[GUN, LogEntry] = {}
        for line in lines[1:]:
            parsed = _parse_line(line)
            if parsed is not None:
                gun, entry = parsed
                found[gun] = found[gun].merge(entry) if gun in found else entry
        return found

    def rewrite(self, known: Mapping[GUN, LogEntry]) -> None:
        """Write anew what is known, in one line for each collection, and append from then on. Raises: OSError."""
        with self._lock:
            self._rewrite(known)

    def compact(self) -> None:
        """Write the file anew if it has grown long. Raises: OSError; it then goes on as it was."""
        with self._lock:  # what is published meanwhile waits some tenths of a second for its line
            if self._descriptor is not None and self._appended_bytes > _REWRITE_AFTER:
                self._appended_bytes = 0  # after a failure, too: not again in the next minute
                self._rewrite(self.load() or {})

    def record(self, gun: GUN, entry: LogEntry) -> None:
        """Append a line. What the disk has no space for is not witnessed."""
        line = _format_line(gun, entry)
        with self._lock:
            if self._descriptor is None:
                return
            if self._line_is_cut:
                line = b"\n" + line
            self._appended_bytes += len(line)
            with contextlib.suppress(OSError):
                self._line_is_cut = os.write(self._descriptor, line) != len(line)

    def close(self) -> None:
        with self._lock:
            self._close()

    def _rewrite(self, known: Mapping[GUN, LogEntry]) -> None:
        head = orjson.dumps({"format": _FORMAT, "database": self._mark}) + b"\n"
        write_durably(
            self._path, head + b"".join(_format_line(gun, entry) for gun, entry in sorted(known.items())), mode=0o600
        )
        self._close()
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._appended_bytes, self._line_is_cut = 0, False

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def find_outdated(known: Mapping[GUN, LogEntry], stored: Iterable[Summary]) -> list[OutdatedCollection]:
    """The collections of which the database holds less than was published."""
    revisions = {summary.gun: summary.revision for summary in stored}
    return [
        OutdatedCollection(gun=gun, stored=revisions.get(gun, 0), logged=logged)
        for gun, logged in sorted(known.items())
        if revisions.get(gun, 0) < logged.revision
    ]


def merge_stored(known: Mapping[GUN, LogEntry], stored: Iterable[Summary]) -> dict[GUN, LogEntry]:
    """What is known and what the database holds, together."""
    found = dict(known)
    for summary in stored:
        held = LogEntry(revision=summary.revision, deleted=summary.status is not Status.LIVE)
        found[summary.gun] = found[summary.gun].merge(held) if summary.gun in found else held
    return found


def _format_line(gun: GUN, entry: LogEntry) -> bytes:
    what: dict[str, object] = {"deleted": True} if entry.deleted else {"versions": dict(entry.versions)}
    return orjson.dumps({"gun": gun, "revision": entry.revision, **what}, option=orjson.OPT_SORT_KEYS) + b"\n"


def _parse_object(line: bytes) -> dict[str, object]:
    try:
        found = orjson.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _parse_line(line: bytes) -> tuple[GUN, LogEntry] | None:
    parsed = _parse_object(line)
    gun, revision, versions = parsed.get("gun"), parsed.get("revision"), parsed.get("versions", {})
    if not isinstance(gun, str) or type(revision) is not int or not isinstance(versions, dict):
        return None
    if not all(type(version) is int for version in versions.values()):
        return None
    entry = LogEntry(
        revision=revision,
        versions={RoleName(role): version for role, version in versions.items()},
        deleted=parsed.get("deleted") is True,
    )
    return GUN(gun), entry
