"""Publish an upload: parse and check it, sign snapshot and timestamp, and store all of it or nothing. Also: delete.

An upload is checked against one revision of the collection, and stored only if the collection is still at that revision
(ADR 0006). If it is not, the same upload is checked again on the new state. It is refused only if somebody else has
changed one of its own roles, or if it no longer verifies there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from trustdata.errors import CollectionExists, NoTrustData, NotStored, TrustError
from trustdata.gun import GUN
from trustdata.roles import ONLINE, ROOT, SNAPSHOT, RoleName, is_delegated
from trustdata.verification.candidate_set import Candidate, check_online_roles
from trustserver.errors import RevisionMoved
from trustserver.repository.commit import Committer
from trustserver.repository.formats import SERVED_TUF, ServedFormat, find_format
from trustserver.repository.judging import Judge, JudgeHere, UploadedFiles
from trustserver.repository.online_roles import Issued, OnlineRoles, refuse_tombstone
from trustserver.repository.parsed_cache import ParsedCache, ParsedCollection, ordinary_size
from trustserver.repository.quotas import (
    NameLimits,
    check_names,
    check_root_history,
    check_snapshot_size,
)
from trustserver.storage.events import NOBODY, Actor, EventKind, NewEvent
from trustserver.storage.ports import MetadataStore, Status, StoredCollection, StoredVersion, Tombstone

ATTEMPTS: Final = 64
"""How often one upload is checked again because others have changed the collection meanwhile."""


Permit: TypeAlias = Callable[[Collection[RoleName], bool], None]
"""Called before a change is stored, with the roles that change, and whether the name has no collection. Raises whatever
then ends the upload, as Forbidden."""


def everything_is_permitted(changed: Collection[RoleName], begins: bool) -> None:  # noqa: FBT001 - a Permit
    """Let every change be stored."""
    del changed, begins


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedVersions:
    """The state of a collection after a publish, as its publisher is told.

    `versions`: of every role; empty if an empty upload has changed nothing.
    """

    gun: GUN
    format: str
    revision: int
    versions: Mapping[str, int]


class Publishing:
    """Publishes and deletes. Call it from a worker thread: it verifies signatures and waits for the database."""

    def __init__(
        self,
        *,
        store: MetadataStore,
        online: OnlineRoles,
        parsed: ParsedCache,
        committer: Committer,
        resign: timedelta = timedelta(0),
        names: NameLimits | None = None,
        judge: Judge | None = None,
    ) -> None:
        """Make the publisher.

        `judge`: judges the uploads; None: in the thread that publishes. `resign`: for so long a timestamp is new enough
        for an upload without files. `names`: how many names may be used; None for no limit.
        """
        self._judge: Judge = judge or JudgeHere()
        self._resign = resign
        self._names = names or NameLimits()
        self._store = store
        self._online = online
        self._parsed = parsed
        self._committer = committer

    def size(self, gun: GUN, files: Mapping[RoleName, bytes]) -> int:
        """Return how much must be read to check this upload, as bytes of ordinary files of the same memory.

        That is its own files, and the stored ones if they are not in memory. Raises: NotStored.
        """
        in_memory = files and self._parsed.remembered(gun) is not None
        stored = 0 if in_memory else self._store.size(gun)
        return stored + sum(map(ordinary_size, files.values()))

    def publish(
        self,
        gun: GUN,
        files: Mapping[RoleName, bytes],
        *,
        at: datetime,
        served_format: ServedFormat = SERVED_TUF,
        subject: str = "",
        permit: Permit = everything_is_permitted,
        by: Actor = NOBODY,
    ) -> PublishedVersions:
        """Check an upload, and store it with the new snapshot and timestamp. It is on the disk when this returns.

        `subject`: who sends it; empty if nobody knows. `by`: the same for the record. `permit`: what they may still do.
        Raises: what `permit` does; MalformedMetadata, TooLarge, TooMany, NotTrusted, PublishRefused or one of its
        subclasses, NotStored; ClockJumped or KeysError if this server cannot sign the snapshot and timestamp.
        """
        # First of all, or a clock that is ahead would make the upload look expired.
        self._online.check_clock(at)
        check_online_roles(files, served_format.wire.upload_rules)
        fresh = None if files else self._fresh(gun, at, served_format)
        if fresh is not None:
            return fresh
        upload = UploadedFiles(gun=gun, files=files, at=at, served_format=served_format)
        judging = self._judge.judging(upload)
        cached = self._parsed.remembered(gun)
        for _ in range(ATTEMPTS):
            stored = cached or self._parsed.load(gun)
            try:
                judged = judging(stored)
                candidate = judged.candidate
                self._check_room(stored.state, candidate, subject)
                issued = self._issue(stored, candidate, at, served_format)
            except RevisionMoved:
                cached = None  # it was judged against a newer state
                continue
            except TrustError:
                if cached is None or self._parsed.load(gun).state.revision == stored.state.revision:
                    raise
                cached = None  # refused because the cached state was outdated: check again on the stored one
                continue
            permit(_changed(stored, candidate), stored.state.status is not Status.LIVE)
            try:
                after = self._committer.commit(
                    stored, candidate.roles, candidate.changed, issued, subject=subject, by=by, changes=judged.changes
                )
            except RevisionMoved:
                cached = None
                continue
            return publish_result(after)
        raise NotStored(reason="the collection kept changing while the upload was judged; try again")

    def delete(
        self,
        gun: GUN,
        *,
        subject: str,
        at: datetime,
        served_format: ServedFormat | None = None,
        permit: Callable[[], None] = lambda: None,
        by: Actor = NOBODY,
    ) -> int:
        """Delete a collection and leave a tombstone. Return the new revision.

        `by`: the subject, for the record. `served_format`: the format that it must have; None for any. `permit`: is
        called before it is deleted. Raises: what `permit` does; NoTrustData, GoneCollection (it is deleted already),
        CollectionExists (it is in another format), NotStored.
        """
        for _ in range(ATTEMPTS):
            state = self._store.load(gun, only=(ROOT,))
            refuse_tombstone(state)
            if state.status is not Status.LIVE:
                raise NoTrustData(gun=gun)
            if served_format is not None and state.format != served_format.wire.name:
                reason = f"is in format {state.format}: it is deleted through /api/v1/"
                raise CollectionExists(role="collection", reason=reason)
            tombstone = self._tombstone(state, subject, at)
            stored_format = find_format(state.format)
            frees_name = stored_format is not None and stored_format.in_feed
            permit()
            try:
                return self._committer.delete(
                    gun,
                    base=state.revision,
                    tombstone=tombstone,
                    frees_name=frees_name,
                    event=_deleted(state, tombstone, by, at),
                )
            except RevisionMoved:
                continue
        raise NotStored(reason="the collection kept changing; try again")

    def _fresh(self, gun: GUN, at: datetime, served_format: ServedFormat) -> PublishedVersions | None:
        """Return the state of a collection whose snapshot and timestamp are as new as an empty upload could make them.

        An empty upload costs its sender nothing, and anybody who may publish can send it again and again. So it has new
        ones signed only if the last ones are older than `resign`. None: it must be judged.
        """
        standing = self._store.standing(gun)
        if standing is None or standing.signed_at is None or standing.format != served_format.wire.name:
            return None
        if not standing.held.issuperset(ONLINE) or not timedelta(0) <= at - standing.signed_at < self._resign:
            return None
        return PublishedVersions(gun=gun, format=standing.format, revision=standing.revision, versions={})

    def _check_room(self, state: StoredCollection, candidate: Candidate, subject: str) -> None:
        """Refuse an upload that would use one name, or one version of root, too many. Raises: TooMany, NotStored."""
        if state.status is Status.ABSENT:
            check_names(self._store, self._names, subject=subject)
        elif ROOT in candidate.changed:
            check_root_history(self._store.versions(state.gun), candidate.root)

    def _issue(
        self, stored: ParsedCollection, candidate: Candidate, at: datetime, served_format: ServedFormat
    ) -> Issued:
        root = candidate.root.root
        if candidate.snapshot is not None:
            return self._online.issue_timestamp(
                stored.state,
                served_format=served_format,
                root=root,
                stored=stored.envelopes,
                at=at,
                snapshot=candidate.snapshot,
            )
        issued = self._online.issue(
            stored.state,
            served_format=served_format,
            root=root,
            stored=stored.envelopes,
            changed=[candidate.roles[role] for role in candidate.changed],
            at=at,
        )
        check_snapshot_size(stored.envelopes, candidate.changed, issued.snapshot, served_format.wire)
        return issued

    def _tombstone(self, state: StoredCollection, subject: str, at: datetime) -> Tombstone:
        # In Notary v1 a collection may begin with a later root than version 1.
        versions = [each.version for each in self._store.versions(state.gun) if each.role == ROOT]
        first = self._store.file(state.gun, ROOT, min(versions, default=1))
        return Tombstone(
            root_sha256=first.sha256 if first else state.files[ROOT].sha256,
            versions=current_versions(self._store, state.gun),
            deleted_at=at.replace(microsecond=0),
            subject=subject,
        )


def _changed(stored: ParsedCollection, candidate: Candidate) -> Collection[RoleName]:
    """Return the roles that an upload changes for clients.

    Its own snapshot (Notary v1) can take a role from them, or give them one back, without a new file of the role.
    """
    if candidate.snapshot is None or SNAPSHOT not in stored.envelopes:
        return candidate.changed
    old, new = stored.envelopes[SNAPSHOT].snapshot.meta, candidate.snapshot.snapshot.meta
    moved = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    return {*candidate.changed, *(RoleName(name.removesuffix(".json")) for name in moved)}


def _deleted(state: StoredCollection, tombstone: Tombstone, by: Actor, at: datetime) -> NewEvent:
    """Return what the record says of a deletion: with the last versions of the roles that every collection has."""
    versions = {role: version for role, version in tombstone.versions.items() if not is_delegated(RoleName(role))}
    details = {
        "format": state.format,
        "revision": state.revision + 1,
        "root": f"sha256:{tombstone.root_sha256}",
        "versions": versions,
    }
    return NewEvent(kind=EventKind.DELETED, at=at, by=by, gun=state.gun, details=details)


def current_versions(store: MetadataStore, gun: GUN) -> dict[str, int]:
    """Return the current version of each role of a collection, without reading its files. Raises: NotStored."""
    return {str(each.role): each.version for each in sorted(store.versions(gun), key=_role) if each.is_current}


def _role(version: StoredVersion) -> str:
    return version.role


def publish_result(after: ParsedCollection) -> PublishedVersions:
    """Return the state of a collection as its publisher is told."""
    versions = {str(role): envelope.version for role, envelope in sorted(after.envelopes.items())}
    state = after.state
    return PublishedVersions(gun=state.gun, format=state.format, revision=state.revision, versions=versions)
