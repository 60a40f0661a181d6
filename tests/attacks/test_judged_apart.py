"""Every upload of this folder goes before both judges (conftest), and it would be seen if they disagreed."""

from __future__ import annotations

import dataclasses

import pytest

from tests.simulator.repository import APP
from tests.simulator.scene import Scene, good_collection
from tests.support import judged_apart
from trustdata.errors import PublishRefused, VersionConflict
from trustdata.roles import TARGETS
from trustdata.verification.candidate_set import Candidate, judge_upload
from trustdata.wire import WireFormat
from trustserver.repository import judge_apart
from trustserver.repository.parsed_cache import ParsedCache


def _stored_again(scene: Scene) -> Candidate:
    stored = scene.server.stored
    uploads = {TARGETS: stored[TARGETS]}
    return judge_upload(gun=APP, stored=stored, uploads=uploads, at=scene.server.at, wire=scene.server.wire)


def test_an_upload_goes_before_both_judges(wire: WireFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def noting(parsed: ParsedCache, question: judge_apart.Question) -> bytes:
        asked.append(question)
        return judge_apart.answer_question(parsed, question)

    monkeypatch.setattr(judged_apart, "answer_question", noting)
    with pytest.raises(VersionConflict):
        _stored_again(good_collection(wire))
    assert len(asked) == 1


def test_another_verdict_or_other_words_would_be_seen(wire: WireFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(*_: object) -> bytes:
        return judge_apart.answer_error(PublishRefused(role=TARGETS, reason="something else"))

    monkeypatch.setattr(judged_apart, "answer_question", other)
    with pytest.raises(AssertionError):
        _stored_again(good_collection(wire))


def test_the_facts_of_a_verdict_are_compared() -> None:
    assert [field.name for field in dataclasses.fields(Candidate)] == ["roles", "changed", "snapshot"]
