"""The judges of large uploads without the process: questions and answers are written and read, in this one."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from unittest import mock

from trustdata.envelope import Envelope
from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustdata.roles import RoleName
from trustdata.verification.candidate_set import Candidate, judge_upload
from trustdata.wire import WireFormat
from trustserver.process.helper_process import write_frame
from trustserver.repository import judging
from trustserver.repository.formats import find_format
from trustserver.repository.judge_apart import JudgeApart, answer_question, read_question
from trustserver.repository.judging import Judge, JudgeBySize, JudgeHere, UploadedFiles
from trustserver.repository.parsed_cache import ParsedCache
from trustserver.storage.events import canonical
from trustserver.storage.ports import MetadataStore, Status, StoredCollection, StoredFile


class AskedHere:
    """Answers what the process would. `asked`: how often. `before`, `after`: called around each judgement."""

    def __init__(
        self,
        store: MetadataStore,
        *,
        before: Callable[[], object] = lambda: None,
        after: Callable[[], object] = lambda: None,
    ) -> None:
        self.asked = 0
        self._before = before
        self._after = after
        self._parsed = ParsedCache(store)

    def ask(self, frames: Iterable[bytes]) -> bytes:
        self.asked += 1
        self._before()
        sent = io.BytesIO()
        for frame in frames:
            write_frame(sent, frame)
        sent.seek(0)
        question = read_question(sent)
        assert question is not None
        assert sent.read() == b""
        answer = answer_question(self._parsed, question)
        self._after()
        return answer


@dataclass(frozen=True)
class _OneState:
    """As much of a store as a judgement needs: one collection in one state."""

    state: StoredCollection

    def load(self, gun: GUN) -> StoredCollection:
        assert gun == self.state.gun
        return self.state


def judge_both_ways(
    *,
    gun: GUN,
    stored: Mapping[RoleName, Envelope],
    uploads: Mapping[RoleName, Envelope],
    at: datetime,
    wire: WireFormat,
) -> Candidate:
    """`judge_upload`, and before that: the server's own judge, the one apart, and the one that reads what differs from
    the stored files only come to one verdict.
    """
    served_format = find_format(wire.name)
    assert served_format is not None
    files = {
        role: StoredFile(role=role, version=each.version, raw=each.raw, sha256=each.sha256, expires=each.expires)
        for role, each in stored.items()
    }
    status = Status.LIVE if stored else Status.ABSENT
    state = StoredCollection(gun=gun, status=status, format=wire.name if stored else "", revision=7, files=files)
    store = cast("MetadataStore", _OneState(state))
    raw = {role: each.raw for role, each in uploads.items()}
    upload = UploadedFiles(gun=gun, files=raw, at=at, served_format=served_format)
    here = _verdict(JudgeHere(), upload, store)
    apart = JudgeApart(AskedHere(store))
    assert _verdict(apart, upload, store) == here
    remembering = ParsedCache(store)
    for envelope in remembering.load(gun).envelopes.values():
        with contextlib.suppress(TrustError):
            _ = envelope.content  # so that its targets are known to be plain
    with mock.patch.object(judging, "SECOND_OPINION_BELOW", 0):
        assert _verdict(JudgeBySize(apart, remembering), upload, store) == here
    return judge_upload(gun=gun, stored=stored, uploads=uploads, at=at, wire=wire)


def _verdict(judge: Judge, upload: UploadedFiles, store: MetadataStore) -> object:
    try:
        judged = judge.judging(upload)(ParsedCache(store).load(upload.gun))
    except TrustError as error:
        return type(error), str(error), error.details()
    candidate, changes = judged.candidate, canonical(judged.changes)
    roles = {role: (each.version, each.expires, each.sha256, each.raw) for role, each in candidate.roles.items()}
    return candidate.changed, candidate.snapshot and candidate.snapshot.sha256, roles, changes
