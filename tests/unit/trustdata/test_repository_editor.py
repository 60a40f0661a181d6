"""Edits: who may sign what, how signers come and go, how keys are replaced, and that nothing is changed in place."""

from __future__ import annotations

import pytest

from keys.errors import KeyNotFound
from tests.simulator.keyring import key, keyid
from tests.simulator.owner import Owner, tag_edit
from tests.simulator.repository import RepositorySimulator
from tests.simulator.scene import GOOD, NEWER, good_collection
from trustdata.editing import repository_editor as editor
from trustdata.errors import PublishRefused
from trustdata.model import Targets
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, RoleName

ALICE, BOB = RoleName("targets/alice"), RoleName("targets/bob")


def _alone() -> Owner:
    owner = Owner(RepositorySimulator())
    owner.initialise()
    return owner


def test_without_signers_tags_live_in_targets() -> None:
    owner = _alone()
    assert set(owner.sign("1.0", GOOD).uploads) == {TARGETS}
    roles = owner.read()
    assert not editor.has_signers(roles)
    gun = owner.server.gun
    with pytest.raises(PublishRefused, match="has no signers"):
        editor.roles_for_signing(gun, roles, [keyid("targets")], "alice")
    with pytest.raises(KeyNotFound, match="holder of the repository key"):
        editor.roles_for_signing(gun, roles, [keyid("alice")])


def test_the_first_signer_moves_the_tags() -> None:
    owner = _alone()
    owner.sign("1.0", GOOD)
    owner.add_signer("alice")
    roles = owner.read()
    assert roles[TARGETS].targets.targets == {}
    assert list(roles[RELEASES].targets.targets) == ["1.0"]
    delegations = roles[TARGETS].targets.delegations
    assert delegations is not None
    assert list(delegations.roles or {}) == [RELEASES, ALICE]
    releases = (delegations.roles or {})[RELEASES]
    assert releases.terminating
    assert releases.keyids == [keyid("targets"), keyid("alice")]


def test_who_signs_what() -> None:
    scene = good_collection()
    gun, roles = scene.server.gun, scene.owner.read()
    assert editor.roles_for_signing(gun, roles, [keyid("alice")]) == (ALICE, RELEASES)
    assert editor.roles_for_signing(gun, roles, [keyid("targets")]) == (RELEASES,)
    assert editor.roles_for_signing(gun, roles, [keyid("alice"), keyid("bob")], "bob") == (BOB, RELEASES)
    assert editor.signable_roles(roles, [keyid("alice")]) == (RELEASES, ALICE)
    assert editor.signable_roles(roles, [keyid("targets")]) == (TARGETS, RELEASES)
    cases: tuple[tuple[str, str | None, type[Exception], str], ...] = (
        ("alice", "bob", KeyNotFound, r"who can sign: bob\)"),
        ("alice", "carol", PublishRefused, "signers: alice, bob"),
        ("mallory", None, KeyNotFound, r"who can sign: alice, bob, the holder of the repository key\)"),
    )
    for holder, signer, refusal, text in cases:
        with pytest.raises(refusal, match=text):
            editor.roles_for_signing(gun, roles, [keyid(holder)], signer)
    with pytest.raises(PublishRefused, match="carol is no signer"):
        editor.remove_signer(gun, roles, "carol", terms=scene.owner.terms)


def test_holders_are_those_of_the_role_s_keys() -> None:
    scene = good_collection()
    roles = scene.owner.read()
    assert editor.holders_of(roles, TARGETS) == "the holder of the repository key"
    assert editor.holders_of(roles, RELEASES) == "alice, bob, the holder of the repository key"
    assert editor.holders_of(roles, BOB) == "bob"
    scene.forger.alter(TARGETS, lambda d: d["delegations"]["roles"][0].update(keyids=["0" * 64]))
    stranger = {**roles, TARGETS: scene.server.stored[TARGETS]}
    assert editor.holders_of(stranger, RELEASES) == "nobody who is named here"


def test_removing_tags() -> None:
    scene = good_collection()
    roles, terms = scene.owner.read(), scene.owner.terms
    every = (TARGETS, RELEASES, ALICE, BOB)
    assert set(editor.remove_tags(roles, ["1.0"], from_roles=every, terms=terms)) == {RELEASES, ALICE}
    assert set(editor.remove_tags(roles, ["2.0"], from_roles=every, terms=terms)) == {RELEASES}
    assert editor.remove_tags(roles, ["9"], from_roles=every, terms=terms) == {}
    assert set(editor.remove_tags(roles, None, from_roles=every, terms=terms)) == {RELEASES, ALICE}


def test_a_removed_signer_leaves_nothing_behind() -> None:
    scene = good_collection()
    scene.owner.remove_signer("alice")
    roles = scene.owner.read()
    delegations = roles[TARGETS].targets.delegations
    assert delegations is not None
    assert keyid("alice") not in delegations.keys
    assert set(roles[RELEASES].signatures) <= {keyid("targets"), keyid("bob")}
    assert scene.newcomer().digest("1.0") == f"sha256:{GOOD}"


def test_an_id_of_the_repository_key_without_a_key_is_delegated_nothing() -> None:
    scene = good_collection()
    gone = "0" * 64
    scene.forger.alter(ROOT, lambda d: d["roles"]["targets"]["keyids"].append(gone))
    roles, terms = {**scene.owner.read(), ROOT: scene.server.stored[ROOT]}, scene.owner.terms
    assert gone in roles[ROOT].root.roles[TARGETS].keyids
    added = editor.add_signer(roles, "carol", [key("carol")], terms=terms)
    removed = editor.remove_signer(scene.server.gun, roles, "alice", terms=terms)
    for changed in (added, removed):
        targets = changed[TARGETS]
        assert isinstance(targets, Targets)
        assert targets.delegations is not None
        named = {keyid for role in (targets.delegations.roles or {}).values() for keyid in role.keyids}
        assert named == targets.delegations.keys.keys()
        assert keyid("targets") in named


def test_too_few_root_keys() -> None:
    scene = good_collection()
    gone = [keyid("root"), keyid("recovery")]
    with pytest.raises(PublishRefused, match="1 root keys are needed, 0 would be left"):
        editor.replace_root_keys(scene.owner.read(), remove=gone, add=[], terms=scene.owner.terms)


def test_replacing_the_repository_key() -> None:
    for owner in (_alone(), good_collection().owner):
        new = Owner(owner.server, "root", "recovery", "targets", "targets 2")
        new.publish(lambda roles, o=new: editor.replace_targets_key(roles, key("targets 2"), terms=o.terms))  # type: ignore[misc]
        roles = new.read()
        assert roles[ROOT].root.roles[TARGETS].keyids == [keyid("targets 2")]
        assert keyid("targets") not in roles[ROOT].root.keys
        if editor.has_signers(roles):
            delegations = roles[TARGETS].targets.delegations
            assert delegations is not None
            assert (delegations.roles or {})[RELEASES].keyids[0] == keyid("targets 2")
            assert keyid("targets") not in delegations.keys


def test_nothing_is_changed_in_place() -> None:
    scene = good_collection()
    roles, terms = scene.owner.read(), scene.owner.terms
    before = {role: scene.server.wire.payload(envelope.content) for role, envelope in roles.items()}
    editor.set_tags(roles, [tag_edit("1.0", NEWER)], into=(RELEASES, ALICE), terms=terms)
    editor.remove_tags(roles, None, from_roles=(RELEASES, ALICE), terms=terms)
    editor.add_signer(roles, "carol", [key("carol")], terms=terms)
    editor.remove_signer(scene.server.gun, roles, "alice", terms=terms)
    editor.replace_root_keys(roles, remove=[keyid("root")], add=[key("carol")], terms=terms)
    editor.replace_online_keys(roles, {SNAPSHOT: key("carol")}, terms=terms)
    editor.replace_targets_key(roles, key("carol"), terms=terms)
    editor.renew(roles, roles.keys() - {"snapshot", "timestamp"}, terms=terms)
    assert {role: scene.server.wire.payload(envelope.content) for role, envelope in roles.items()} == before
