"""A signer's new key: the delegations, the releases, and the signer's own role, in both formats."""

from __future__ import annotations

import pytest

from tests.simulator import keyring
from tests.simulator.owner import Owner
from tests.simulator.repository import APP
from tests.simulator.scene import GOOD, Scene, good_collection
from trustdata.editing.repository_editor import Contents, add_signer
from trustdata.editing.signer_rotation import replace_signer_key
from trustdata.errors import PublishRefused
from trustdata.model import DelegatedRole
from trustdata.roles import RELEASES, TARGETS, RoleName
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS

ALICE = RoleName("targets/alice")


@pytest.fixture(params=FORMATS.values(), ids=list(FORMATS))
def scene(request: pytest.FixtureRequest) -> Scene:
    """Alice and bob are signers; alice has signed."""
    return good_collection(request.param)


def keyid(scene: Scene, name: str) -> str:
    return _keys(scene.server.wire).key(name).keyid


def _keys(wire: WireFormat) -> keyring.Keys:
    return keyring.Keys(wire=wire, gun=APP)


def delegated(scene: Scene) -> dict[str, DelegatedRole]:
    delegations = scene.owner.read()[TARGETS].targets.delegations
    assert delegations is not None
    return dict(delegations.roles or {})


def rotated(scene: Scene, *, add: str = "alice 2", remove: str = "alice") -> Contents:
    roles = scene.owner.read()
    new = _keys(scene.server.wire).key(add)
    return replace_signer_key(roles, "alice", add=new, remove=keyid(scene, remove), terms=scene.owner.terms)


def publish(scene: Scene, *holders: str, add: str = "alice 2", remove: str = "alice") -> None:
    owner = Owner(scene.server, "targets", *holders)
    owner.publish(lambda _: rotated(scene, add=add, remove=remove))


def test_the_new_key_signs_the_role_again_and_what_was_signed_stays(scene: Scene) -> None:
    before = scene.owner.read()
    publish(scene, "alice 2")
    roles = scene.owner.read()
    assert delegated(scene)[ALICE].keyids == [keyid(scene, "alice 2")]
    assert keyid(scene, "alice") not in delegated(scene)[RELEASES].keyids
    assert {keyid(scene, "alice 2"), keyid(scene, "bob")} <= set(delegated(scene)[RELEASES].keyids)
    delegations = roles[TARGETS].targets.delegations
    assert delegations is not None
    assert keyid(scene, "alice") not in delegations.keys
    assert set(roles[ALICE].signatures) == {keyid(scene, "alice 2")}
    assert roles[ALICE].targets.targets == before[ALICE].targets.targets
    assert [roles[role].version for role in (ALICE, RELEASES)] == [
        before[role].version + 1 for role in (ALICE, RELEASES)
    ]
    assert keyid(scene, "alice") not in roles[RELEASES].signatures
    assert scene.newcomer().digest("1.0") == f"sha256:{GOOD}"


def test_a_role_that_the_new_key_has_signed_already_stays_as_it_is(scene: Scene) -> None:
    """The key came beside the other one, and the signer has signed with it since."""
    wire = scene.server.wire
    beside = add_signer(scene.owner.read(), "alice", [_keys(wire).key("alice 2")], terms=scene.owner.terms)
    scene.owner.publish(lambda _: beside)
    again = Owner(scene.server, "alice 2")
    again.publish(lambda roles: _renewed(again, roles))
    assert ALICE not in rotated(scene)
    publish(scene)
    assert delegated(scene)[ALICE].keyids == [keyid(scene, "alice 2")]
    assert scene.newcomer().digest("1.0") == f"sha256:{GOOD}"


def _renewed(owner: Owner, roles: object) -> Contents:
    from trustdata.editing.repository_editor import renew

    del roles
    return renew(owner.read(), [ALICE], terms=owner.terms)


def test_a_signer_who_has_never_signed(scene: Scene) -> None:
    wire = scene.server.wire
    scene.owner.publish(lambda roles: add_signer(roles, "carol", [_keys(wire).key("carol")], terms=scene.owner.terms))
    roles = scene.owner.read()
    new = _keys(wire).key("carol 2")
    changed = replace_signer_key(roles, "carol", add=new, remove=keyid(scene, "carol"), terms=scene.owner.terms)
    assert set(changed) == {TARGETS, RELEASES}


def test_without_releases_nothing_of_them_is_signed(scene: Scene) -> None:
    roles = {role: file for role, file in scene.owner.read().items() if role != RELEASES}
    new = _keys(scene.server.wire).key("alice 2")
    changed = replace_signer_key(roles, "alice", add=new, remove=keyid(scene, "alice"), terms=scene.owner.terms)
    assert set(changed) == {TARGETS, ALICE}


def test_a_key_that_another_signer_has_too_still_releases(scene: Scene) -> None:
    wire = scene.server.wire
    shared = _keys(wire).key("alice")
    scene.owner.publish(lambda roles: add_signer(roles, "bob", [shared], terms=scene.owner.terms))
    publish(scene, "alice 2")
    assert keyid(scene, "alice") in delegated(scene)[RELEASES].keyids
    assert delegated(scene)[ALICE].keyids == [keyid(scene, "alice 2")]


def test_too_few_keys_for_the_threshold_are_refused(scene: Scene) -> None:
    roles = scene.owner.read()
    delegations = roles[TARGETS].targets.delegations
    assert delegations is not None
    assert delegations.roles is not None
    delegations.roles[ALICE].threshold = 2
    new = _keys(scene.server.wire).key("alice 2")
    with pytest.raises(PublishRefused, match="2 keys must sign, and 1 would be left"):
        replace_signer_key(roles, "alice", add=new, remove=keyid(scene, "alice"), terms=scene.owner.terms)


def test_the_repository_key_stays_a_key_of_the_releases_though_a_signer_has_had_it(scene: Scene) -> None:
    """Else the owner could not release, revoke or remove any more."""
    keys, terms = _keys(scene.server.wire), scene.owner.terms
    scene.owner.publish(lambda _: add_signer(scene.owner.read(), "carol", [keys.key("targets")], terms=terms))
    owner = Owner(scene.server, "targets", "carol 2")
    new, old = keys.key("carol 2"), keyid(scene, "targets")
    owner.publish(lambda _: replace_signer_key(owner.read(), "carol", add=new, remove=old, terms=terms))
    assert delegated(scene)[RoleName("targets/carol")].keyids == [new.keyid]
    assert {old, new.keyid} <= set(delegated(scene)[RELEASES].keyids)
    delegations = scene.owner.read()[TARGETS].targets.delegations
    assert delegations is not None
    assert old in delegations.keys
