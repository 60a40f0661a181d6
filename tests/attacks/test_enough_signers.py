"""Signers of whom some are enough: one whose role does not verify neither counts nor stops the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.simulator.forgery import Document
from tests.simulator.owner import Owner
from tests.simulator.owner_commands import ALICE, expire_role
from tests.simulator.repository import APP
from tests.simulator.scene import APP_IMAGE, EVIL, GOOD, Scene, good_collection
from tests.simulator.session import SimulatedSession
from trustdata.errors import MalformedMetadata, MetadataExpired, MetadataMissing, PolicyRefused, ThresholdNotMet
from trustdata.judgement import Judgement, Question
from trustdata.policy import Requirement
from trustdata.roles import RELEASES, TARGETS, RoleName
from trustdata.wire import WireFormat


def both_signed(wire: WireFormat) -> Scene:
    scene = good_collection(wire)
    Owner(scene.server, "bob").sign("1.0", GOOD)
    return scene


def changed_key(scene: Scene, role: RoleName) -> None:
    """As an old client changes the key of a delegation: the role's file stays as it is."""
    carol = scene.keys.key("carol")

    def change(document: Document) -> None:
        document["version"] += 1
        document["delegations"]["keys"][carol.keyid] = carol.to_dict()
        for delegation in document["delegations"]["roles"]:
            delegation["keyids"] = [carol.keyid] if delegation["name"] == role else delegation["keyids"]

    scene.forger.alter(TARGETS, change)


BROKEN: Final[dict[str, tuple[Callable[[Scene, RoleName], object], type[Exception]]]] = {
    "another-key": (changed_key, ThresholdNotMet),
    "expired": (expire_role, MetadataExpired),
    "malformed": (lambda scene, role: scene.forger.alter_text(role, lambda _: b"[]"), MalformedMetadata),
    "withheld": (lambda scene, role: scene.server.files.pop(scene.server.current(role)), MetadataMissing),
}


@pytest.fixture(params=BROKEN)
def broken(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def judged(scene: Scene, threshold: int, *signers: str, named: tuple[str, ...] = ()) -> Judgement:
    """A newcomer's verdict on 1.0, under a rule that asks for `threshold` of `signers`."""
    rule = Requirement(source="the policy", signers=signers, threshold=threshold)
    collection = scene.newcomer().collection()
    question = Question(gun=collection.gun, tag="1.0", digest=None, required_signers=named, policy=(rule,))
    (judgement,) = collection.judge([question])
    return judgement


def test_the_others_are_enough(wire: WireFormat, broken: str) -> None:
    scene = both_signed(wire)
    BROKEN[broken][0](scene, ALICE)
    answer = judged(scene, 1, "alice", "bob")
    assert answer.refusal is None
    assert answer.digest == f"sha256:{GOOD}"
    assert answer.evidence is not None
    assert answer.evidence.signers == ("bob",)


def test_who_needs_the_role_is_told_why_it_does_not_count(wire: WireFormat, broken: str) -> None:
    scene = both_signed(wire)
    spoil, error = BROKEN[broken]
    spoil(scene, ALICE)
    for answer in (
        judged(scene, 2, "alice", "bob"),
        judged(scene, 1, "alice"),
        judged(scene, 1, "bob", named=("alice",)),
    ):
        assert isinstance(answer.refusal, error)
        assert getattr(answer.refusal, "role", None) == ALICE


def test_another_requirement_that_is_not_met_is_named_as_such(wire: WireFormat) -> None:
    scene = both_signed(wire)
    changed_key(scene, ALICE)
    refusal = judged(scene, 1, "alice", "bob", named=("dave",)).refusal
    assert isinstance(refusal, PolicyRefused)
    assert "dave" in str(refusal)


def test_what_it_lists_counts_for_nothing(wire: WireFormat) -> None:
    """The releases and bob are of one mind about EVIL; alice, whose role does not verify, is no second signer."""
    scene = both_signed(wire)
    Owner(scene.server, "alice", "bob").sign("1.0", EVIL)
    changed_key(scene, ALICE)
    assert judged(scene, 2, "alice", "bob").digest is None


def test_the_releases_are_needed_by_everybody(wire: WireFormat, broken: str) -> None:
    scene = both_signed(wire)
    spoil, error = BROKEN[broken]
    spoil(scene, RELEASES)
    assert isinstance(judged(scene, 1, "alice", "bob").refusal, error)


def test_the_explanation_says_which_role_does_not_count(wire: WireFormat, broken: str, tmp_path: Path) -> None:
    scene = both_signed(wire)
    BROKEN[broken][0](scene, ALICE)
    policy = tmp_path / "policy.toml"
    policy.write_text(f'[[rule]]\nmatch = "{APP}"\naction = "verify"\nsigners = ["alice", "bob"]\nthreshold = 1\n')
    session = SimulatedSession(scene.newcomer(), registry_digest=f"sha256:{GOOD}")
    assert session.run("explain", APP_IMAGE, "--policy", str(policy)) == 0
    said = [" ".join(line.split()) for line in session.stdout.getvalue().splitlines()]
    assert f"{ALICE} does not verify" in said
    assert any(line.startswith("signer alice cannot be read: ") for line in said)
