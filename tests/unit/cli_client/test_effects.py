"""What clients would answer after a publish is judged before anything is sent."""

from __future__ import annotations

import pytest

from tests.simulator.owner import tag_edit
from tests.simulator.scene import EVIL, GOOD, OLD, Scene, good_collection
from trustcli.publish.effects import check_same_releases
from trustdata.editing import repository_editor as editor
from trustdata.editing.owner_roles import OwnerRoles
from trustdata.editing.repository_editor import Contents
from trustdata.errors import PublishRefused, ThresholdNotMet
from trustdata.roles import RELEASES, TARGETS
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF


def _publishes(scene: Scene, change: Contents) -> None:
    scene.owner.publisher().publish(lambda _: change, check_same_releases)


def test_an_edit_that_is_not_about_tags_may_change_none() -> None:
    scene = good_collection()
    roles, terms = scene.owner.read(), scene.owner.terms
    before = scene.server.revision
    moved = editor.set_tags(roles, [tag_edit("1.0", EVIL)], into=[RELEASES], terms=terms)
    with pytest.raises(
        PublishRefused, match=f"1.0 would be released as sha256:{EVIL}, and is released as sha256:{GOOD}"
    ):
        _publishes(scene, moved)
    removed = editor.remove_tags(roles, ["1.0"], from_roles=[RELEASES], terms=terms)
    with pytest.raises(PublishRefused, match="would be released as nothing"):
        _publishes(scene, removed)
    assert scene.server.revision == before
    _publishes(scene, editor.renew(roles, [TARGETS, RELEASES], terms=terms))
    assert scene.newcomer().digest("1.0") == f"sha256:{GOOD}"


def test_a_digest_that_targets_would_release_is_a_change() -> None:
    scene = good_collection(NOTARY)
    roles = scene.owner.read()
    removed = editor.remove_tags(roles, ["1.0"], from_roles=[RELEASES], terms=scene.owner.terms)
    with pytest.raises(PublishRefused, match=f"targets: 1.0 would be released as sha256:{OLD}"):
        _publishes(scene, removed)


def test_where_clients_see_no_tag_before_there_is_nothing_to_compare() -> None:
    roles = good_collection(NOTARY).owner.read()
    fault = ThresholdNotMet(role=RELEASES, version=3, delegator=TARGETS, threshold=1, signed=(), unsigned=())
    refused = OwnerRoles(roles, faults={RELEASES: fault})
    assert refused.released() == {}
    assert refused.find_released("1.0") is None
    check_same_releases(refused, roles)
    check_same_releases(OwnerRoles(), roles)
    check_same_releases(OwnerRoles(roles, emptied={RELEASES: roles[RELEASES]}), OwnerRoles(roles))


def test_roles_that_conflict_already_are_no_change() -> None:
    roles = good_collection(TUF).owner.read()
    conflicting = OwnerRoles({**roles, TARGETS: roles[RELEASES]})
    check_same_releases(conflicting, conflicting)
