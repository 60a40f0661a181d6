"""The published log: a file beside the database with the highest published revision of every collection.

With it the server notices that its database was restored from a backup; the database itself shows no sign of that
(ADR 0016). The option `--witness` names the file. Each change appends a line, after it is in the database, so the log
is never ahead of it. The line is not flushed to the disk, so it costs a publish only microseconds. A power cut may
therefore lose the last lines; then an old database may go unnoticed, but a good one is never refused.

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

from keys.document_version import DocumentKind
from keys.durable_file import write_durably
from trustdata.document_version import refuse_newer
from trustdata.gun import GUN
from trustdata.roles import RoleName
from trustserver.storage.ports import Status, Summary

KIND: Final = DocumentKind(what="a witness", name="content-trust-witness-")
_LONGEST_HEAD: Final = 4096  # bytes of the first line
_REWRITE_AFTER: Final = 4 * 1024 * 1024
"""How many bytes are appended before the file is written anew: about thirty thousand changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """What the log says of one collection. `versions`: the highest version of each role that it knows of."""

    revision: int
    versions: Mapping[RoleName, int] = field(default_factory=dict)
    deleted: bool = False

    def merge(self, other: LogEntry) -> LogEntry:
        """Return one entry that says what both say. What was published before a deletion no longer counts."""
        if other.revision < self.revision:
            return other.merge(self)
        if other.deleted:
            return other
        versions = {
            role: max(self.versions.get(role, 0), other.versions.get(role, 0))
            for role in {**self.versions, **other.versions}
        }
        return LogEntry(revision=other.revision, versions=versions)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutdatedCollection:
    """A collection whose stored revision is lower than the published one. `stored` is 0 if it is not stored at all."""

    gun: GUN
    stored: int
    logged: LogEntry


class PublishedLogFile:
    """The log in the file at `path`, for the database with this seal mark. May be called from several threads."""

    def __init__(self, path: Path, *, mark: str) -> None:
        self._path = path
        self._mark = mark
        self._lock = Lock()
        self._descriptor: int | None = None
        self._line_is_cut = False
        self._appended_bytes = 0

    def load(self) -> dict[GUN, LogEntry] | None:
        """Read the log. Return None if the file is missing, or is about another database.

        Lines that cannot be parsed are skipped: a power cut may have left an incomplete one. Raises: FileNewer.
        """
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError:
            return None
        if not lines:
            return None
        head = _parse_object(lines[0])
        refuse_newer(KIND, head, path=str(self._path))
        if head != {KIND.member: KIND.stated, "database": self._mark}:
            return None
        entries: dict[GUN, LogEntry] = {}
        for line in lines[1:]:
            parsed = _parse_line(line)
            if parsed is not None:
                gun, entry = parsed
                entries[gun] = entries[gun].merge(entry) if gun in entries else entry
        return entries

    def rewrite(self, known: Mapping[GUN, LogEntry]) -> None:
        """Replace the file by one line for each collection in `known`. `record` appends to the new file.

        Raises: OSError; FileNewer, and the file stays.
        """
        with self._lock:
            with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
                refuse_newer(KIND, _parse_object(file.readline(_LONGEST_HEAD)), path=str(self._path))
            self._rewrite(known)

    def compact(self) -> None:
        """Replace the file by one line for each collection, if it has grown long.

        Raises: OSError. The old file is then kept and appended to.
        """
        with self._lock:  # a publish waits some tenths of a second meanwhile
            if self._descriptor is not None and self._appended_bytes > _REWRITE_AFTER:
                self._appended_bytes = 0  # even if this fails, so that it is not tried again every minute
                self._rewrite(self.load() or {})

    def record(self, gun: GUN, entry: LogEntry) -> None:
        """Append an entry. If the disk is full it is lost; the change itself is stored already."""
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
        head = orjson.dumps({KIND.member: KIND.stated, "database": self._mark}) + b"\n"
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
    """Return the collections of which more was published than is stored, sorted by name."""
    revisions = {summary.gun: summary.revision for summary in stored}
    return [
        OutdatedCollection(gun=gun, stored=revisions.get(gun, 0), logged=logged)
        for gun, logged in sorted(known.items())
        if revisions.get(gun, 0) < logged.revision
    ]


def merge_stored(known: Mapping[GUN, LogEntry], stored: Iterable[Summary]) -> dict[GUN, LogEntry]:
    """Return the entries of the log, brought up to the revisions that the database holds."""
    entries = dict(known)
    for summary in stored:
        stored_entry = LogEntry(revision=summary.revision, deleted=summary.status is not Status.LIVE)
        entries[summary.gun] = entries[summary.gun].merge(stored_entry) if summary.gun in entries else stored_entry
    return entries


def _format_line(gun: GUN, entry: LogEntry) -> bytes:
    content: dict[str, object] = {"deleted": True} if entry.deleted else {"versions": dict(entry.versions)}
    return orjson.dumps({"gun": gun, "revision": entry.revision, **content}, option=orjson.OPT_SORT_KEYS) + b"\n"


def _parse_object(line: bytes) -> dict[str, object]:
    try:
        content = orjson.loads(line)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


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
