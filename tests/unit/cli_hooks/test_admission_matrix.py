"""Reviews judged by real trust data, in both formats: whose signatures decide, and what a tag becomes."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import pytest

from tests.simulator.repository import APP
from tests.simulator.scene import GOOD, Scene
from tests.simulator.session import SimulatedSession
from tests.simulator.signed_by import INDEX, PLATFORM, signed_by
from tests.support.admission import Object, answered, images_of, patched, pod, review, sent
from trustcli.hooks.deciding.decider import PolicyDecider
from trustcli.hooks.deciding.decision import Decision
from trustcli.hooks.deciding.once import OnceReader
from trustcli.hooks.kubernetes.answer import answer_to
from trustcli.hooks.kubernetes.judging import Asked, Manner, ask, judge
from trustcli.hooks.kubernetes.review import read_review, read_sent
from trustdata.policy import read_policy
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS

MATRIX = [
    ("", "signed", ""),
    ("", "multi", f"{APP}:multi is not signed"),
    ("", "big", ""),
    ('signers = ["alice"]', "multi", ""),
    ('signers = ["alice", "bob"]', "signed", ""),
    ('signers = ["alice", "bob"]', "multi", "bob"),
    ('signers = ["alice", "bob"]', "evil", "bob"),
    ('signers = ["carol"]', "signed", "carol"),
]
"""What a rule requires, the tag, and a word of the refusal; none if it is allowed, always as GOOD."""


@pytest.fixture(params=FORMATS.values(), ids=list(FORMATS))
def wire(request: pytest.FixtureRequest) -> WireFormat:
    found: WireFormat = request.param
    return found


def decides(scene: Scene, rule: str) -> Callable[[Sequence[Asked]], Mapping[Asked, Decision]]:
    """Who decides by one rule about the scene's collection; without signers, by what is released."""
    body = f"{rule}\nreleased = false" if rule else ""
    policy = read_policy(tomllib.loads(f'[[rule]]\nmatch = "{APP}"\n{body}\n'), source="policy.toml")
    client = scene.newcomer()
    session = SimulatedSession(client)
    decider = PolicyDecider(policy, (), OnceReader(session, memory_required=True), at=lambda: client.at)
    return lambda questions: {question: ask(decider, question.image) for question in questions}


def response_to(scene: Scene, thing: Object, rule: str = "", *, mutate: bool = True) -> Object:
    verdict = judge(read_review(read_sent(sent(review(thing)))), Manner(mutate=mutate), decide=decides(scene, rule))
    return answered(answer_to(verdict))


@pytest.mark.parametrize(("rule", "tag", "refused"), MATRIX)
def test_whose_signatures_decide(wire: WireFormat, rule: str, tag: str, refused: str) -> None:
    thing = pod(f"{APP}:{tag}")
    for mutate in (True, False):
        response = response_to(signed_by(wire), thing, rule, mutate=mutate)
        assert response["allowed"] is (not refused)
        if refused:
            assert refused in response["status"]["message"]
            assert "patch" not in response
        else:
            pinned = f"{APP}:{tag}@sha256:{GOOD}" if mutate else f"{APP}:{tag}"
            assert images_of(patched(thing, response)) == [pinned]


@pytest.mark.parametrize(
    ("image", "allowed"),
    [
        (f"{APP}@sha256:{GOOD}", True),
        (f"{APP}:signed@sha256:{GOOD}", True),
        (f"{APP}:signed@sha256:{INDEX}", False),
        (f"{APP}@sha256:{'0' * 64}", False),
        (f"{APP}:index", True),
        (f"{APP}@sha256:{INDEX}", True),
        (f"{APP}@sha256:{PLATFORM}", True),
        (f"{APP}:index@sha256:{PLATFORM}", True),
        (f"{APP}:signed@sha256:{PLATFORM}", False),
        (str(APP), False),
        (f"{APP}-other:signed", False),
    ],
)
def test_digests_indexes_and_platforms(wire: WireFormat, image: str, allowed: bool) -> None:  # noqa: FBT001
    response = response_to(signed_by(wire), pod(image))
    assert response["allowed"] is allowed
    if allowed and "@" in image:
        assert "patch" not in response


def test_an_old_state_of_the_server_is_refused(wire: WireFormat) -> None:
    scene = signed_by(wire)
    decide = decides(scene, "")
    document = read_review(read_sent(sent(review(pod(f"{APP}:signed")))))
    assert judge(document, Manner(mutate=False), decide=decide).allowed
    scene.server.files = dict(scene.past.files)
    refused = judge(document, Manner(mutate=False), decide=decide)
    assert not refused.allowed
    assert "older than" in answered(answer_to(refused))["status"]["message"]


def test_expired_trust_data_is_refused(wire: WireFormat) -> None:
    scene = signed_by(wire)
    decide = decides(scene, "")
    later = scene.newcomer()
    later.at += timedelta(days=4000)
    policy = read_policy(tomllib.loads(f'[[rule]]\nmatch = "{APP}"\n'), source="policy.toml")
    decider = PolicyDecider(policy, (), OnceReader(SimulatedSession(later)), at=lambda: later.at)
    assert decide([Asked("", f"{APP}:signed")])[Asked("", f"{APP}:signed")].allowed
    refused = ask(decider, f"{APP}:signed")
    assert not refused.allowed
    assert "expired" in json.dumps(str(refused.refusal))
