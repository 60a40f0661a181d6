"""What a thief of one signer's key can do: release tags (that is what signers do), and nothing in another's name."""

from __future__ import annotations

import pytest

from tests.simulator.owner import Owner, digest_of
from tests.simulator.scene import EVIL, GOOD, good_collection
from trustcli.publish.preparation import Roles
from trustdata.editing import repository_editor as editor
from trustdata.editing.repository_editor import Contents
from trustdata.errors import MalformedMetadata, PolicyRefused
from trustdata.judgement import Question, judge
from trustdata.model import Content, DelegatedRole, TargetFile, Targets
from trustdata.policy import Requirement
from trustdata.roles import RELEASES, TARGETS
from trustdata.verification.target_lookup import find_released
from trustdata.wire import WireFormat, strict_json

PLATFORM = digest_of("a platform")


def test_nobody_adds_a_platform_to_what_another_signed(wire: WireFormat) -> None:
    scene = good_collection(wire)
    client = scene.regular()
    thief = Owner(scene.server, "bob")

    def add_a_child(roles: Roles) -> Contents:
        contents = editor.renew(roles, [RELEASES], terms=thief.terms)
        releases = contents[RELEASES]
        assert isinstance(releases, Targets)
        custom = {"custom": {"oci": {"manifests": [EVIL]}}}
        releases.targets["1.0"] = TargetFile(1000, {"sha256": GOOD}, "1.0", custom)
        return contents

    thief.publish(add_a_child)
    assert client.judge(None, f"sha256:{EVIL}").allowed, "any signer may release"
    for tag in (None, "1.0"):
        answer = client.judge(tag, f"sha256:{EVIL}", "alice")
        assert isinstance(answer.refusal, PolicyRefused)
        assert "alice has signed 1.0, but not sha256:" in str(answer.refusal)
    assert client.judge("1.0", f"sha256:{GOOD}", "alice").allowed


def test_a_signer_vouches_for_the_platforms_that_he_signed(wire: WireFormat) -> None:
    scene = good_collection(wire)
    client = scene.regular()
    Owner(scene.server, "alice").sign("3.0", digest_of("an index"), PLATFORM)
    for tag in (None, "3.0"):
        assert client.judge(tag, f"sha256:{PLATFORM}", "alice").allowed
    assert not client.judge("3.0", f"sha256:{PLATFORM}", "bob").allowed


def test_one_key_under_two_names_is_one_signer(wire: WireFormat) -> None:
    scene = good_collection(wire)
    scene.owner.publish(
        lambda roles: editor.add_signer(roles, "alicia", [scene.keys.key("alice")], terms=scene.owner.terms)
    )
    Owner(scene.server, "alice").sign("4.0", GOOD)
    roles = scene.owner.read()
    asked = Requirement(signers=("alice", "alicia"), threshold=2, source="policy.toml")
    answer = judge(Question(gun=scene.server.gun, tag="4.0", digest=None, policy=(asked,)), roles)
    assert isinstance(answer.refusal, PolicyRefused)
    assert "one and the same key" in str(answer.refusal)
    one = Requirement(signers=("alice", "alicia"), threshold=1, source="policy.toml")
    assert judge(Question(gun=scene.server.gun, tag="4.0", digest=None, policy=(one,)), roles).allowed


def test_a_digest_is_judged_under_every_tag_that_has_it(wire: WireFormat) -> None:
    """Signed by bob alone under an earlier tag: what alice has signed under a later one counts."""
    scene = good_collection(wire)
    Owner(scene.server, "bob").sign("0.9", GOOD)
    answer = scene.regular().judge(None, f"sha256:{GOOD}", "alice")
    assert answer.allowed
    assert answer.evidence is not None
    assert answer.evidence.tags == ("1.0",)


def test_the_owner_takes_the_thief_out(wire: WireFormat) -> None:
    scene = good_collection(wire)
    Owner(scene.server, "bob").sign("1.0", EVIL)
    scene.owner.remove_signer("bob")
    scene.owner.revoke("1.0")
    roles = scene.owner.read()
    assert find_released("1.0", roles) is None
    assert "targets/bob" not in editor.signers_of(roles)


def _named(targets: Content) -> dict[str, DelegatedRole]:
    assert isinstance(targets, Targets)
    assert targets.delegations is not None
    assert targets.delegations.roles is not None
    return targets.delegations.roles


def test_edits_keep_what_an_owner_has_asked_of_a_role(wire: WireFormat) -> None:
    scene = good_collection(wire)
    owner = scene.owner

    def stricter(roles: Roles) -> Contents:
        contents = editor.renew(roles, [TARGETS, RELEASES], terms=owner.terms)
        targets = editor.add_signer(roles, "alice", [], terms=owner.terms)[TARGETS]
        named = _named(targets)
        named[RELEASES].threshold = 2
        named["targets/bob"].paths = ["dev-*"]
        return {**contents, TARGETS: targets}

    owner.publish(stricter)
    owner.publish(lambda roles: editor.add_signer(roles, "bob", [scene.keys.key("mallory")], terms=owner.terms))
    named = _named(owner.read()[TARGETS].content)
    assert named[RELEASES].threshold == 2
    assert named["targets/bob"].paths == ["dev-*"]
    assert len(named["targets/bob"].keyids) == 2


@pytest.mark.parametrize("size", [20_000])
def test_a_doubled_member_is_found_in_one_pass(size: int) -> None:
    """Not in as many passes as there are members: counted in comparisons, not in seconds."""

    class Counted(str):
        compared = 0
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            Counted.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    pairs: list[tuple[str, object]] = [(Counted(f"m{n}"), 1) for n in range(size)]
    strict_json._members([*pairs, pairs[-1]])
    assert Counted.compared < 10 * size
    with pytest.raises(MalformedMetadata, match="'a' occurs twice"):
        strict_json.parse(RELEASES, b'{"b": 1, "a": 2, "a": 3}')
