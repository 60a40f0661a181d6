"""May this image run? Tag, digest, platforms, required signers."""

from __future__ import annotations

import pytest

from tests.simulator.client import Client
from tests.simulator.owner import Owner, digest_of
from tests.simulator.scene import EVIL, GOOD, NEWER, OLD, OTHER, good_collection
from trustdata.errors import InvalidName, MetadataMissing, NotSigned, PolicyRefused, TagMismatch
from trustdata.judgement import Judgement, Question, judge, with_every_signer
from trustdata.roles import RELEASES, ROOT, TIMESTAMP
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF


def test_the_evidence() -> None:
    scene = good_collection()
    answer = scene.newcomer().judge("1.0", None, "alice")
    assert answer.evidence is not None
    assert answer.evidence.released_by == RELEASES
    assert answer.evidence.signers == ("alice",)
    assert answer.evidence.tags == ("1.0",)
    assert answer.evidence.versions[ROOT] == 2
    assert answer.evidence.fresh_until == scene.server.stored[TIMESTAMP].expires
    assert not Judgement(question=answer.question).allowed
    assert not Judgement(question=answer.question, digest="sha256:aa").allowed


def test_tag_and_digest_must_belong_together() -> None:
    client = good_collection().newcomer()
    assert client.judge("1.0", f"sha256:{GOOD}").digest == f"sha256:{GOOD}"
    refusal = client.judge("1.0", f"sha256:{EVIL}").refusal
    assert isinstance(refusal, TagMismatch)
    assert (refusal.asked, refusal.signed) == (f"sha256:{EVIL}", f"sha256:{GOOD}")


def test_a_platform_of_a_signed_index_may_run() -> None:
    scene = good_collection()
    scene.owner.sign("multi", digest_of("index"), digest_of("arm"), digest_of("amd"))
    client = scene.newcomer()
    assert client.judge("multi").digest == f"sha256:{digest_of('index')}"
    assert client.judge("multi", f"sha256:{digest_of('arm')}").digest == f"sha256:{digest_of('arm')}"
    assert client.judge(None, f"sha256:{digest_of('amd')}").allowed
    assert not client.judge("1.0", f"sha256:{digest_of('amd')}").allowed


def test_neither_tag_nor_digest() -> None:
    refusal = good_collection().newcomer().judge(None).refusal
    assert isinstance(refusal, NotSigned)


def test_a_tag_that_only_a_signer_lists_is_not_released() -> None:
    scene = good_collection()
    Owner(scene.server, "alice").sign("3.0", NEWER)
    scene.forger.alter(RELEASES, lambda d: (d.update(version=d["version"] + 1), d["targets"].pop("3.0")))
    refusal = scene.newcomer().judge("3.0", None, "alice").refusal
    assert isinstance(refusal, NotSigned)
    assert refusal.signers == ("alice",)


@pytest.mark.parametrize(
    ("tag", "signer", "reason"),
    [
        ("1.0", "bob", "bob has not signed 1.0"),
        ("1.0", "carol", "carol is no signer of"),
        ("2.0", "alice", "alice has not signed 2.0"),
    ],
)
def test_a_required_signer_who_did_not(tag: str, signer: str, reason: str) -> None:
    refusal = good_collection().newcomer().judge(tag, None, signer).refusal
    assert isinstance(refusal, PolicyRefused)
    assert reason in refusal.reason
    assert f"--signer {signer}" in refusal.rule


def test_a_required_signer_of_another_digest() -> None:
    scene = good_collection()
    Owner(scene.server, "targets").sign("1.0", OTHER)
    refusal = scene.newcomer().judge("1.0", None, "alice").refusal
    assert isinstance(refusal, PolicyRefused)
    assert f"alice has signed 1.0 as sha256:{GOOD}, not as sha256:{OTHER}" in refusal.reason


def test_a_name_that_cannot_be_a_signer() -> None:
    assert isinstance(good_collection().newcomer().judge("1.0", None, "releases").refusal, InvalidName)


def test_withheld_roles_of_required_signers_refuse() -> None:
    scene = good_collection()
    del scene.server.files["1.targets%2Falice.json"]
    client = Client(scene.server, pins=[scene.pin])
    assert client.judge("1.0").allowed
    assert not client.judge("1.0", None, "alice").allowed


def test_releases_that_were_promised_but_are_not_there() -> None:
    """Which the snapshot of an honest server cannot come to; in Notary v1 it is docker's own first state."""
    question = Question(gun=good_collection().server.gun, tag="1.0", digest=None)
    for wire, refused in ((TUF, True), (NOTARY, False)):
        roles = {role: e for role, e in good_collection(wire).server.stored.items() if role != RELEASES}
        answer = judge(question, roles)
        assert isinstance(answer.refusal, MetadataMissing) is refused
        assert answer.digest == (None if refused else f"sha256:{OLD}")


def test_a_digest_that_nobody_has_signed() -> None:
    refusal = good_collection().newcomer().judge(None, f"sha256:{EVIL}").refusal
    assert isinstance(refusal, NotSigned)
    assert f"sha256:{EVIL}" in str(refusal)


def test_all_signers_are_named_only_of_what_stands_there() -> None:
    """To be shown beside a verdict: of a refusal there are none, and of a tag that is gone from later roles none."""
    scene = good_collection()
    client, before = scene.newcomer(), dict(scene.server.stored)
    refused, allowed = client.judge("9.9"), client.judge(None, f"sha256:{GOOD}")
    assert with_every_signer(refused, before) is refused
    named = with_every_signer(allowed, before)
    assert named.evidence is not None
    assert (named.evidence.tags, named.evidence.signers) == (("1.0",), ("alice",))
    scene.owner.revoke("1.0")
    scene.owner.sign("3.0", GOOD)
    assert with_every_signer(allowed, scene.server.stored) is allowed
