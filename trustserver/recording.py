"""Recording: a change goes into the store, and what is kept in memory follows in the order of the commits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from trustdata.envelope import Envelope
from trustdata.gun import GUN
from trustdata.roles import ROOT, SNAPSHOT, TIMESTAMP, RoleName
from trustdata.wire import WireFormat
from trustserver.answers import missing, newest, versioned
from trustserver.file_names import FileName, path_of
from trustserver.online_roles import Issued
from trustserver.parsed import ParsedCollection, ParsedCollections
from trustserver.storage.ports import (
    KeyRecord,
    KeyState,
    MetadataStore,
    Publication,
    Status,
    StoredFile,
    Tombstone,
)
from trustserver.view import Answer, View
from trustserver.witness import Seen


class Witness(Protocol):
    """Keeps what was published apart from the store."""

    def saw(self, gun: GUN, seen: Seen) -> None:
        """Called after a change is durable. Never fails."""

    def tidy(self) -> None:
        """Called now and then. Raises: OSError."""


class Recorder:
    """The only writer of metadata files."""

    def __init__(
        self,
        store: MetadataStore,
        parsed: ParsedCollections,
        view: View,
        wire: WireFormat,
        witness: Witness | None = None,
    ) -> None:
        self._store = store
        self._witness = witness
        self._parsed = parsed
        self._view = view
        self._wire = wire

    def record(
        self, before: ParsedCollection, roles: Mapping[RoleName, Envelope], changed: Iterable[RoleName], issued: Issued
    ) -> ParsedCollection:
        """Store the `changed` ones of `roles` (offline roles in their new state) and what was issued over them.

        All or nothing, on top of the revision `before`; the new state is returned and shown. Raises: RevisionMoved,
        NotStored.
        """
        gun = before.state.gun
        envelopes = {**roles, SNAPSHOT: issued.snapshot, TIMESTAMP: issued.timestamp}
        stored_before = {role: before.envelopes[role].sha256 for role in before.envelopes}
        written = [
            envelopes[role]
            for role in (*changed, SNAPSHOT, TIMESTAMP)
            if envelopes[role].sha256 != stored_before.get(role)
        ]
        publication = Publication(
            gun=gun,
            format=self._wire.name,
            base=before.state.revision,
            files=tuple(map(_as_stored, written)),
            used=issued.used,
            renew_at=issued.renew_at,
        )
        with self._view.changing(gun):
            revision = self._store.publish(publication)
            self._view.published(gun, _answers(gun, written, envelopes[ROOT].version, issued))
        if self._witness is not None:
            versions = {envelope.role: envelope.version for envelope in written}
            self._witness.saw(gun, Seen(revision=revision, versions=versions))
        after = _after(before, publication, revision, envelopes)
        self._parsed.remember(after)
        return after

    def delete(self, gun: GUN, *, base: int, tombstone: Tombstone) -> int:
        """Drop the collection; the new revision. Raises: RevisionMoved, NotStored."""
        with self._view.changing(gun):
            revision = self._store.delete(gun, base=base, tombstone=tombstone)
            self._parsed.forget(gun)
            self._view.drop(gun)
        if self._witness is not None:
            self._witness.saw(gun, Seen(revision=revision, deleted=True))
        return revision


def _answers(gun: GUN, written: Iterable[Envelope], root_version: int, issued: Issued) -> list[tuple[bytes, Answer]]:
    answers = []
    for envelope in written:
        if envelope.role == TIMESTAMP:
            name = FileName(role=TIMESTAMP, version=None)
            answer = newest(envelope.raw, envelope.sha256, renew_at=issued.renew_at)
        else:
            name = FileName(role=envelope.role, version=envelope.version)
            answer = versioned(envelope.raw, envelope.sha256)
        answers.append((path_of(gun, name), answer))
    following = FileName(role=ROOT, version=root_version + 1)
    return [*answers, (path_of(gun, following), missing(gun, following))]


def _as_stored(envelope: Envelope) -> StoredFile:
    return StoredFile(
        role=envelope.role,
        version=envelope.version,
        raw=envelope.raw,
        sha256=envelope.sha256,
        expires=envelope.expires,
    )


def _after(
    before: ParsedCollection, publication: Publication, revision: int, envelopes: Mapping[RoleName, Envelope]
) -> ParsedCollection:
    """What the store holds now, without asking it."""
    state = replace(
        before.state,
        status=Status.LIVE,
        format=publication.format,
        revision=revision,
        files={**before.state.files, **{role: _as_stored(envelope) for role, envelope in envelopes.items()}},
        keys=_keys_after(before.state.keys, publication.used),
        tombstone=None,
    )
    return ParsedCollection(state=state, envelopes=envelopes)


def _keys_after(keys: tuple[KeyRecord, ...], used: Iterable[KeyRecord]) -> tuple[KeyRecord, ...]:
    promoted = {key.role: replace(key, state=KeyState.CURRENT) for key in used}
    kept = (key for key in keys if key.role not in promoted and key.state is not KeyState.OFFERED)
    return (*kept, *promoted.values())
