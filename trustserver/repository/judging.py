"""Judge an upload against a stored collection: in this thread, or where another Judge does it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final, Protocol, TypeAlias

from trustdata.envelope import Envelope
from trustdata.errors import CollectionExists, PublishRefused, TrustError
from trustdata.gun import GUN
from trustdata.json_bounds import most_values
from trustdata.limits import MAX_UPLOAD_VALUES, SECOND_OPINION_BELOW
from trustdata.roles import ROOT, RoleName
from trustdata.verification.candidate_set import Candidate, judge_upload
from trustdata.verification.second_opinion import check_second_opinion
from trustdata.wire.plain_change import PlainChange, compare
from trustdata.wire.plain_targets import FORMS, NotPlain
from trustserver.repository.changes import Members, described_changes
from trustserver.repository.formats import ServedFormat
from trustserver.repository.parsed_cache import ParsedCache, ParsedCollection
from trustserver.repository.quotas import check_collection_size, check_values
from trustserver.repository.stored_envelope import known_plain
from trustserver.storage.ports import Status

LARGE_UPLOAD: Final = 256 * 1024
"""Bytes of all files from which on an upload is judged by a process of its own (docs/adr/0056)."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An accepted upload: the state that it leads to, and what the record says that it changes."""

    candidate: Candidate
    changes: Members


Judging: TypeAlias = Callable[[ParsedCollection], Judged]
"""A function that judges one upload against a state of the collection, as often as the state moves.

It raises the errors of `judge`, and RevisionMoved if the collection is no longer in that state.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedFiles:
    """One upload: the files as they came, by role, and when."""

    gun: GUN
    files: Mapping[RoleName, bytes] = field(repr=False)
    at: datetime
    served_format: ServedFormat

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return size_of(self.files)


class Judge(Protocol):
    """Judges uploads. May be called from several threads."""

    def judging(self, upload: UploadedFiles) -> Judging:
        """Return the function that judges this upload.

        Raises: MalformedMetadata, TooLarge or PublishRefused if a file cannot be parsed; NotStored.
        """


class JudgeHere:
    """The Judge that parses and judges in the thread that calls it."""

    def judging(self, upload: UploadedFiles) -> Judging:
        """Parse the files, and return the function that judges them."""
        return partial(_judge_parsed, parse_upload(upload), upload)


def size_of(files: Mapping[RoleName, bytes]) -> int:
    """Return the bytes of all files together."""
    return sum(map(len, files.values()))


def parse_upload(upload: UploadedFiles) -> dict[RoleName, Envelope]:
    """Count the values of all files, and parse them. Raises: TooLarge, MalformedMetadata, PublishRefused."""
    check_values(upload.files.values(), limit=MAX_UPLOAD_VALUES)
    with _unexpected_refused():
        return {role: upload.served_format.wire.parse(role, raw) for role, raw in upload.files.items()}


def judge(stored: ParsedCollection, uploads: Mapping[RoleName, Envelope], upload: UploadedFiles) -> Judged:
    """Judge the parsed files of an upload against a state of the collection, and return its new state.

    Raises: NotTrusted, PublishRefused or one of its subclasses, MalformedMetadata, TooLarge.
    """
    served_format = upload.served_format
    wire = served_format.wire
    if stored.envelopes and stored.state.format != wire.name:
        raise CollectionExists(role="collection", reason=f"is in format {stored.state.format}, not {wire.name}")
    if stored.state.status is Status.DELETED:
        raise CollectionExists(
            role=ROOT,
            reason="the collection was deleted; to begin anew the operator runs: "
            f"trust-server collections release {stored.state.gun}",
        )
    # In Notary v1 the first root may have any version. So a root version 1 does not mean that a collection is
    # initialised; it is only an old version.
    initialises = not wire.upload_rules.may_skip_versions and ROOT in uploads and uploads[ROOT].version == 1
    if initialises and ROOT in stored.envelopes and uploads[ROOT].sha256 != stored.envelopes[ROOT].sha256:
        raise CollectionExists(role=ROOT, reason="the collection is initialised already")
    with _unexpected_refused():
        candidate = judge_upload(
            gun=stored.state.gun, stored=stored.envelopes, uploads=uploads, at=upload.at, wire=wire
        )
        if served_format.second_opinion:
            check_second_opinion(candidate.roles, candidate.changed)
        check_collection_size(stored.envelopes, candidate, wire)
        changes = described_changes(stored.envelopes, [candidate.roles[role] for role in candidate.changed])
    return Judged(candidate=candidate, changes=changes)


@contextmanager
def _unexpected_refused() -> Iterator[None]:
    """Refuse an upload whose content makes the code of this block fail in an unexpected way. Raises: PublishRefused."""
    try:
        yield
    except (TrustError, MemoryError, NotPlain):
        raise
    except Exception as error:
        raise not_judged(error) from error


def not_judged(error: Exception) -> PublishRefused:
    """Log an error that an upload has caused and nobody expected, and return the refusal of the upload."""
    _log.error("an upload could not be judged", exc_info=error)
    kind = type(error).__name__
    return PublishRefused(role="upload", reason=f"cannot be judged ({kind}); the server's log says more")


class JudgeBySize:
    """The Judge that leaves uploads of which LARGE_UPLOAD bytes and more must be read to another one.

    Of a file that differs little from the one that it replaces, only what differs must be read (docs/adr/0057).
    `parsed`: what is remembered of the stored collections.
    """

    def __init__(self, large: Judge, parsed: ParsedCache) -> None:
        self._small = JudgeHere()
        self._large = large
        self._parsed = parsed

    def judging(self, upload: UploadedFiles) -> Judging:
        """Return the function of the judge that this upload is for."""
        uploads = parse_changed(upload, self._parsed.remembered(upload.gun))
        if uploads is not None:
            return partial(_judge_parsed, uploads, upload)
        return (self._large if upload.size >= LARGE_UPLOAD else self._small).judging(upload)


def _judge_parsed(uploads: Mapping[RoleName, Envelope], upload: UploadedFiles, stored: ParsedCollection) -> Judged:
    return judge(stored, uploads, upload)


def parse_changed(upload: UploadedFiles, before: ParsedCollection | None) -> dict[RoleName, Envelope] | None:
    """Parse the files of an upload by what differs from the files that they replace.

    `before`: those, as they are remembered; whether the collection is still at that revision does not matter, since
    what is plain follows from the bytes alone. None: there is nothing to compare with, too much differs, or something
    is wrong with a file; then all of it must be read.
    Raises: MalformedMetadata, TooLarge or PublishRefused if a file is wrong but for its plain targets.
    """
    changes = {} if before is None else _changes(upload, before)
    if not changes:
        return None
    read = {role: changes[role].size if role in changes else len(raw) for role, raw in upload.files.items()}
    values = sum(
        changes[role].most_values if role in changes else most_values(raw) for role, raw in upload.files.items()
    )
    if sum(read.values()) >= LARGE_UPLOAD or values > MAX_UPLOAD_VALUES:
        return None
    wire = upload.served_format.wire
    uploads: dict[RoleName, Envelope] = {}
    for role, raw in upload.files.items():
        plain = changes[role].part() if role in changes else None
        if role in changes and plain is None:
            return None
        try:
            with _unexpected_refused():
                uploads[role] = wire.parse(role, raw, plain=plain)
        except NotPlain:
            return None
    return uploads


def _changes(upload: UploadedFiles, before: ParsedCollection) -> dict[RoleName, PlainChange]:
    """Compare the files with those that they replace, as far as these are known to have plain targets."""
    form, found = FORMS[upload.served_format.wire.name], {}
    for role, raw in upload.files.items():
        if upload.served_format.second_opinion and len(raw) <= SECOND_OPINION_BELOW:
            continue  # python-tuf reads all of it
        envelope = before.envelopes.get(role)
        plain = None if envelope is None else known_plain(envelope)
        change = None if plain is None or plain.form is not form else compare(raw, plain)
        if change is not None:
            found[role] = change
    return found
