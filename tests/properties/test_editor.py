"""Laws of the editor: what it makes is always accepted, and means what was asked for."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulator.keyring import Ring
from tests.simulator.owner import EVERY_KEY, Owner, digest_of
from tests.simulator.scene import good_collection
from trustdata.editing import repository_editor as editor
from trustdata.roles import RELEASES, TARGETS
from trustdata.verification.target_lookup import each_released, find_released
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS

TAGS = st.sampled_from(["1.0", "2.0", "v3", "latest"])
ACTS = st.one_of(
    st.tuples(st.just("sign"), TAGS, st.sampled_from(["x", "y"])),
    st.tuples(st.just("revoke"), TAGS),
    st.tuples(st.just("add"), st.sampled_from(["alice", "bob", "carol"])),
    st.tuples(st.just("remove"), st.sampled_from(["alice", "bob", "carol"])),
    st.tuples(st.just("renew")),
)


@pytest.mark.parametrize("wire", FORMATS.values(), ids=list(FORMATS))
@given(acts=st.lists(ACTS, max_size=8))
@settings(max_examples=25)
def test_any_sequence_of_edits_is_accepted_and_means_what_it_says(
    wire: WireFormat, acts: list[tuple[str, ...]]
) -> None:
    scene = good_collection(wire)
    owner = Owner(scene.server)
    owner.ring = Ring(*EVERY_KEY, "carol")
    expected = {target.tag: target.digest for target in each_released(owner.read())}
    for kind, *details in acts:
        names = {str(role).removeprefix("targets/") for role in editor.signers_of(owner.read())}
        if kind == "sign":
            owner.sign(details[0], digest_of(details[1]))
            expected[details[0]] = digest_of(details[1])
        elif kind == "revoke":
            owner.revoke(details[0])
            expected.pop(details[0], None)
        elif kind == "add":
            owner.add_signer(details[0])
        elif kind == "remove" and details[0] in names:
            owner.remove_signer(details[0])
        elif kind == "renew":
            owner.renew(TARGETS, RELEASES)
        roles = scene.newcomer().collection().owner_roles()
        assert {target.tag: target.digest for target in each_released(roles)} == expected


@pytest.mark.parametrize("wire", FORMATS.values(), ids=list(FORMATS))
@given(tag=TAGS, children=st.lists(st.integers(0, 10**6).map(lambda n: f"{n:064x}"), max_size=64, unique=True))
@settings(max_examples=10)
def test_children_are_found_by_their_digests(wire: WireFormat, tag: str, children: list[str]) -> None:
    scene = good_collection(wire)
    scene.owner.sign(tag, digest_of("index"), *children)
    target = find_released(tag, scene.owner.read())
    assert target is not None
    assert target.children == tuple(children)
    assert all(target.has_manifest(child) for child in children)
    assert not target.has_manifest("ff" * 32)


@pytest.mark.parametrize("wire", FORMATS.values(), ids=list(FORMATS))
def test_foreign_custom_is_kept(wire: WireFormat) -> None:
    scene = good_collection(wire)
    custom = {"foreign": {"a": 1}, "oci": {"manifests": ["ab" * 32]}}
    scene.forger.alter(
        RELEASES, lambda d: (d.update(version=d["version"] + 1), d["targets"]["1.0"].update(custom=custom))
    )
    scene.owner.sign("1.0", digest_of("new"))
    written = scene.owner.read()[RELEASES].targets.targets["1.0"]
    assert written.custom == {"foreign": {"a": 1}}
