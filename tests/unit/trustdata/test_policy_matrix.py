"""Which digest is allowed by whose signatures: the table of `docs/reference/policy.md`, and rules without releases."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.simulator.forgery import Document
from tests.simulator.owner_commands import expire_role
from tests.simulator.scene import EVIL, GOOD, Scene
from tests.simulator.signed_by import ALICE, INDEX, PLATFORM, signed_by
from trustdata.errors import MetadataExpired, NotSigned, PolicyRefused, TagMismatch
from trustdata.judgement import Judgement, Question
from trustdata.policy import Requirement
from trustdata.roles import RELEASES, TARGETS
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS

DOCUMENTED = Path(__file__).parents[3] / "docs" / "reference" / "policy.md"

MATRIX: Final[list[tuple[tuple[str, ...], str, str]]] = [
    ((), "signed", "allow"),
    ((), "multi", "deny"),
    ((), "big", "allow"),
    (("alice",), "multi", "allow"),
    (("alice", "bob"), "signed", "allow"),
    (("alice", "bob"), "multi", "deny"),
    (("alice", "bob"), "evil", "deny"),
    (("carol",), "signed", "deny"),
]
"""Who is required, the tag, and the verdict of Connaisseur 3.3.4, which looks at no release where it requires names."""


@pytest.fixture(params=FORMATS.values(), ids=list(FORMATS))
def wire(request: pytest.FixtureRequest) -> WireFormat:
    found: WireFormat = request.param
    return found


def judged(
    scene: Scene,
    tag: str | None,
    *signers: str,
    released: bool = False,
    threshold: int | None = None,
    digest: str | None = None,
) -> Judgement:
    count = len(signers) if threshold is None else threshold
    rule = Requirement(source="the rule", signers=signers, threshold=count, released=released or not signers)
    question = Question(gun=scene.server.gun, tag=tag, digest=digest, policy=(rule,))
    (answer,) = scene.newcomer().collection().judge([question])
    return answer


@pytest.mark.parametrize(("signers", "tag", "verdict"), MATRIX)
def test_the_verdicts_of_connaisseur(wire: WireFormat, signers: tuple[str, ...], tag: str, verdict: str) -> None:
    answer = judged(signed_by(wire), tag, *signers)
    assert ("allow" if answer.allowed else "deny") == verdict
    assert answer.digest == (f"sha256:{GOOD}" if verdict == "allow" else None)


def test_the_documentation_has_this_table() -> None:
    text = DOCUMENTED.read_text(encoding="utf-8")
    for signers, tag, verdict in MATRIX:
        row = f"| {', '.join(signers) or 'nobody'} | `{tag}` | {verdict} | "
        assert text.count(row) == 1, row


@pytest.mark.parametrize(("signers", "tag", "verdict"), MATRIX)
def test_to_ask_for_the_release_too_allows_no_more(
    wire: WireFormat, signers: tuple[str, ...], tag: str, verdict: str
) -> None:
    answer = judged(signed_by(wire), tag, *signers, released=True)
    assert not answer.allowed or verdict == "allow"


def test_why_it_is_refused(wire: WireFormat) -> None:
    scene = signed_by(wire)
    name = scene.server.gun
    said = {tag: str(judged(scene, tag, "alice", "bob").refusal) for tag in ("multi", "evil")}
    assert said["multi"] == f"{name}:multi is refused by the rule: bob has not signed multi"
    assert said["evil"] == (
        f"{name}:evil is refused by the rule: bob has signed evil as sha256:{EVIL}, not as sha256:{GOOD}"
    )
    assert str(judged(scene, "signed", "carol").refusal) == (
        f"{name}:signed is refused by the rule: carol is no signer of {name}"
    )
    assert isinstance(judged(scene, "absent", "alice").refusal, NotSigned)
    assert isinstance(judged(scene, "multi", "alice", digest=f"sha256:{EVIL}").refusal, TagMismatch)


def test_most_of_them_are_enough_where_the_rule_says_so(wire: WireFormat) -> None:
    scene = signed_by(wire)
    assert judged(scene, "signed", "alice", "bob", "carol", threshold=2).allowed
    refused = judged(scene, "evil", "alice", "bob", "carol", threshold=2).refusal
    assert isinstance(refused, PolicyRefused)
    assert judged(scene, "evil", "bob").digest == f"sha256:{EVIL}"


def test_a_digest_is_found_under_any_tag(wire: WireFormat) -> None:
    scene = signed_by(wire)
    assert judged(scene, None, "alice", digest=f"sha256:{GOOD}").allowed
    both = judged(scene, None, "alice", "bob", digest=f"sha256:{GOOD}")
    assert both.evidence is not None
    assert both.evidence.tags == ("signed",)
    assert both.evidence.signers == ("alice", "bob")
    assert isinstance(judged(scene, None, "alice", digest=f"sha256:{'9' * 64}").refusal, NotSigned)
    assert isinstance(judged(scene, None, "alice", "bob", digest=f"sha256:{EVIL}").refusal, PolicyRefused)


def test_a_platform_of_an_index_is_allowed(wire: WireFormat) -> None:
    scene = signed_by(wire)
    answer = judged(scene, "index", "alice", "bob", digest=f"sha256:{PLATFORM}")
    assert answer.digest == f"sha256:{PLATFORM}"
    assert judged(scene, "index", "alice").digest == f"sha256:{INDEX}"


def test_the_release_may_be_broken_where_signers_alone_decide(wire: WireFormat) -> None:
    scene = signed_by(wire)
    expire_role(scene, RELEASES)
    assert judged(scene, "signed", "alice", "bob").allowed
    assert isinstance(judged(scene, "signed", "alice", released=True).refusal, MetadataExpired)


def test_a_required_role_that_does_not_verify_has_signed_nothing(wire: WireFormat) -> None:
    scene = signed_by(wire)
    expire_role(scene, ALICE)
    assert isinstance(judged(scene, "multi", "alice").refusal, MetadataExpired)
    assert judged(scene, "evil", "bob").allowed


def test_a_removed_signer_has_signed_nothing(wire: WireFormat) -> None:
    scene = signed_by(wire)
    scene.owner.remove_signer("alice")
    assert isinstance(judged(scene, "multi", "alice").refusal, PolicyRefused)


def test_a_tag_outside_the_paths_of_a_signer_is_not_signed_by_them(wire: WireFormat) -> None:
    scene = signed_by(wire)

    def narrow(document: Document) -> None:
        document["version"] += 1
        for role in document["delegations"]["roles"]:
            if role["name"] == ALICE:
                role["paths"] = ["other"]

    scene.forger.alter(TARGETS, narrow)
    assert isinstance(judged(scene, "multi", "alice").refusal, NotSigned)
