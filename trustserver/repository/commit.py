"""Commit a change: write it to the store, then to the response cache, the published log and the parsed cache.

The response cache gets the changes of a collection in the order of their commits.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from threading import Lock
from typing import Protocol

from keys.rfc3339 import to_rfc3339
from trustdata.envelope import Envelope
from trustdata.gun import GUN
from trustdata.roles import ONLINE, ROOT, SNAPSHOT, TIMESTAMP, RoleName
from trustserver.repository.changes import Members, described_files
from trustserver.repository.formats import NewFiles, ServedFormat
from trustserver.repository.online_roles import Issued, lives_too_long
from trustserver.repository.parsed_cache import ParsedCache, ParsedCollection
from trustserver.repository.retention import Retention
from trustserver.repository.stored_envelope import listed_tags
from trustserver.responses.response_cache import ResponseCache
from trustserver.storage.events import Actor, EventKind, NewEvent
from trustserver.storage.ports import (
    KeyRecord,
    KeyState,
    MetadataStore,
    Publication,
    Status,
    StoredFile,
    Tombstone,
)
from trustserver.storage.published_log import LogEntry

_log = logging.getLogger(__name__)


class PublishedLog(Protocol):
    """A record of what was published, kept outside of the store."""

    def record(self, gun: GUN, entry: LogEntry) -> None:
        """Add what was published or deleted. Called after the change is stored; must not fail."""

    def compact(self) -> None:
        """Shorten the log if it has grown long. Called once a minute. Raises: OSError."""


class Committer:
    """The only part of the server that writes or deletes metadata files."""

    def __init__(
        self,
        store: MetadataStore,
        parsed: ParsedCache,
        cache: ResponseCache,
        published_log: PublishedLog | None = None,
        *,
        retention: Retention | None = None,
    ) -> None:
        self._retention = retention
        self._store = store
        self._published_log = published_log
        self._parsed = parsed
        self._cache = cache
        self._counting = Lock()
        self.overlong = 0
        """How many snapshots and timestamps that lived too long were replaced."""

    def commit(
        self,
        before: ParsedCollection,
        roles: Mapping[RoleName, Envelope],
        changed: Iterable[RoleName],
        issued: Issued,
        *,
        subject: str = "",
        by: Actor | None = None,
        changes: Members | None = None,
    ) -> ParsedCollection:
        """Store the changed offline roles with their new snapshot and timestamp, and return the new state.

        `before`: the collection at the revision that the change was made for. `roles`: all offline roles in their new
        state. `changed`: those of them that are to be stored. `issued`: the new snapshot and timestamp. `subject`: who
        publishes; empty if nobody knows. `by`: the same for the record; None for what the server does by itself, which
        is not recorded. `changes`: what the record says of it. All of it is stored, or nothing.
        Raises: RevisionMoved, NotStored.
        """
        gun = before.state.gun
        envelopes = {**roles, SNAPSHOT: issued.snapshot, TIMESTAMP: issued.timestamp}
        stored_hashes = {role: before.envelopes[role].sha256 for role in before.envelopes}
        written = [
            envelopes[role]
            for role in (*changed, SNAPSHOT, TIMESTAMP)
            if envelopes[role].sha256 != stored_hashes.get(role)
        ]
        files = tuple(_as_stored(envelope, issued.at) for envelope in written)
        publication = Publication(
            gun=gun,
            format=issued.served_format.wire.name,
            base=before.state.revision,
            files=files,
            promoted_keys=tuple(key for key in issued.promoted_keys if key.state is not KeyState.OFFERED),
            imported_keys=tuple(
                replace(key, state=KeyState.CURRENT) for key in issued.promoted_keys if key.state is KeyState.OFFERED
            ),
            renew_at=issued.renew_at,
            in_feed=issued.served_format.in_feed,
            subject=subject,
        )
        if by is not None:
            details = described_files(files) | dict(changes or {})
            publication = _recorded(publication, EventKind.PUBLISHED, by, issued.at, details)
        after = self._write(before, publication, envelopes, issued.served_format)
        if self._retention is not None:
            self._retention.published(gun, sum(len(file.raw) for file in publication.files), issued.at)
        self._report_overlong(before, after, issued)
        return after

    def _report_overlong(self, before: ParsedCollection, after: ParsedCollection, issued: Issued) -> None:
        """Count and log the replaced files that lived too long: whoever has one can show it until it expires."""
        for role in ONLINE:
            old = before.envelopes.get(role)
            if old is None or old.sha256 == after.envelopes[role].sha256:
                continue
            if not issued.by_early_clock and lives_too_long(old, issued.served_format.wire, issued.at):
                with self._counting:
                    self.overlong += 1
                expires = to_rfc3339(old.expires)
                _log.error(
                    "signed while a clock was ahead, and now replaced: docs/guides/clock-jump.md",
                    extra={"gun": before.state.gun, "role": role, "version": old.version, "expires": expires},
                )

    def commit_import(
        self,
        before: ParsedCollection,
        *,
        roots: Iterable[Envelope],
        current: Mapping[RoleName, Envelope],
        served_format: ServedFormat,
        at: datetime,
        imported_keys: tuple[KeyRecord, ...],
        renew_at: datetime,
        subject: str = "",
        by: Actor | None = None,
    ) -> ParsedCollection:
        """Store what was published on another server, and return the new state.

        `roots`: all versions of root, ascending. `current`: the current file of every role. `imported_keys`: the other
        server's keys. Files that are stored already are skipped. `by`: who imports, for the record. All of it is
        stored, or nothing.
        Raises: RevisionMoved, NotStored.
        """
        stored_hashes = {envelope.sha256 for envelope in before.envelopes.values()}
        newest = before.envelopes[ROOT].version if ROOT in before.envelopes else 0
        written = [root for root in roots if root.version > newest]
        written += [
            envelope for role, envelope in current.items() if role != ROOT and envelope.sha256 not in stored_hashes
        ]
        publication = Publication(
            gun=before.state.gun,
            format=served_format.wire.name,
            base=before.state.revision,
            files=tuple(_as_stored(envelope, at) for envelope in written),
            promoted_keys=(),
            imported_keys=imported_keys,
            renew_at=renew_at,
            in_feed=served_format.in_feed,
            subject=subject,
        )
        if by is not None:
            details = described_files(publication.files)
            publication = _recorded(publication, EventKind.TAKEN_OVER, by, at, details)
        return self._write(before, publication, current, served_format)

    def _write(
        self,
        before: ParsedCollection,
        publication: Publication,
        envelopes: Mapping[RoleName, Envelope],
        served_format: ServedFormat,
    ) -> ParsedCollection:
        gun = publication.gun
        new_files = NewFiles(
            gun=gun, written=publication.files, root_version=envelopes[ROOT].version, renew_at=publication.renew_at
        )
        with self._cache.changing(gun):
            revision = self._store.publish(publication)
            self._cache.published(gun, served_format.answers(new_files))
        if self._published_log is not None:
            versions = {file.role: file.version for file in publication.files}
            self._published_log.record(gun, LogEntry(revision=revision, versions=versions))
        after = _after(before, publication, revision, envelopes)
        self._parsed.remember(after)
        return after

    def delete(
        self, gun: GUN, *, base: int, tombstone: Tombstone, frees_name: bool, event: NewEvent | None = None
    ) -> int:
        """Delete the collection, and return the new revision.

        `base`: the revision that it must have. `frees_name`: a new collection may be published under the name at once.
        `event`: what the record says of it. Raises: RevisionMoved, NotStored.
        """
        with self._cache.changing(gun):
            revision = self._store.delete(gun, base=base, tombstone=tombstone, frees_name=frees_name, event=event)
            self._parsed.forget(gun)
            self._cache.drop(gun)
        if self._published_log is not None:
            self._published_log.record(gun, LogEntry(revision=revision, deleted=True))
        return revision


def _recorded(publication: Publication, kind: EventKind, by: Actor, at: datetime, details: Members) -> Publication:
    """Return a publication that is recorded, with what the record says of it."""
    members = {**details, "format": publication.format, "revision": publication.base + 1}
    return replace(publication, event=NewEvent(kind=kind, at=at, by=by, gun=publication.gun, details=members))


def _as_stored(envelope: Envelope, at: datetime) -> StoredFile:
    return StoredFile(
        role=envelope.role,
        version=envelope.version,
        raw=envelope.raw,
        sha256=envelope.sha256,
        expires=envelope.expires,
        stored_at=at,
        tags=listed_tags(envelope),
    )


def _after(
    before: ParsedCollection, publication: Publication, revision: int, envelopes: Mapping[RoleName, Envelope]
) -> ParsedCollection:
    """Return the state that the store holds after a publication, without reading it."""
    state = replace(
        before.state,
        status=Status.LIVE,
        format=publication.format,
        revision=revision,
        files={**before.state.files, **{file.role: file for file in publication.files}},
        keys=_keys_after(before.state.keys, (*publication.promoted_keys, *publication.imported_keys)),
        tombstone=None,
        renew_at=publication.renew_at,
    )
    return ParsedCollection(state=state, envelopes=envelopes)


def _keys_after(keys: tuple[KeyRecord, ...], new_current: Iterable[KeyRecord]) -> tuple[KeyRecord, ...]:
    promoted = {key.role: replace(key, state=KeyState.CURRENT) for key in new_current}
    kept = (key for key in keys if key.role not in promoted)
    return (*kept, *promoted.values())
