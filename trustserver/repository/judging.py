"""Judge an upload against a stored collection: in this thread, or where another Judge does it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol, TypeAlias

from trustdata.envelope import Envelope
from trustdata.errors import CollectionExists, PublishRefused, TrustError
from trustdata.gun import GUN
from trustdata.limits import MAX_UPLOAD_VALUES
from trustdata.roles import ROOT, RoleName
from trustdata.verification.candidate_set import Candidate, judge_upload
from trustdata.verification.second_opinion import check_second_opinion
from trustserver.repository.formats import ServedFormat
from trustserver.repository.parsed_cache import ParsedCollection
from trustserver.repository.quotas import check_collection_size, check_values
from trustserver.storage.ports import Status

LARGE_UPLOAD: Final = 256 * 1024
"""Bytes of all files from which on an upload is judged by a process of its own (docs/adr/0056)."""

_log = logging.getLogger(__name__)

Judging: TypeAlias = Callable[[ParsedCollection], Candidate]
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
        uploads = parse_upload(upload)

        def against(stored: ParsedCollection) -> Candidate:
            return judge(stored, uploads, upload)

        return against


def size_of(files: Mapping[RoleName, bytes]) -> int:
    """Return the bytes of all files together."""
    return sum(map(len, files.values()))


def parse_upload(upload: UploadedFiles) -> dict[RoleName, Envelope]:
    """Count the values of all files, and parse them. Raises: TooLarge, MalformedMetadata, PublishRefused."""
    check_values(upload.files.values(), MAX_UPLOAD_VALUES)
    with _unexpected_refused():
        return {role: upload.served_format.wire.parse(role, raw) for role, raw in upload.files.items()}


def judge(stored: ParsedCollection, uploads: Mapping[RoleName, Envelope], upload: UploadedFiles) -> Candidate:
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
    return candidate


@contextmanager
def _unexpected_refused() -> Iterator[None]:
    """Refuse an upload whose content makes the code of this block fail in an unexpected way. Raises: PublishRefused."""
    try:
        yield
    except (TrustError, MemoryError):
        raise
    except Exception as error:
        _log.exception("an upload could not be judged")
        kind = type(error).__name__
        raise PublishRefused(role="upload", reason=f"cannot be judged ({kind}); the server's log says more") from error


class JudgeBySize:
    """The Judge that leaves uploads of LARGE_UPLOAD bytes and more to another one."""

    def __init__(self, large: Judge) -> None:
        self._small = JudgeHere()
        self._large = large

    def judging(self, upload: UploadedFiles) -> Judging:
        """Return the function of the judge that this upload is for."""
        return (self._large if upload.size >= LARGE_UPLOAD else self._small).judging(upload)
