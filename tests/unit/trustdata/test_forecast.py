"""A verdict at another time, by the files of now, and what clients of others would say then."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest

from tests.simulator.scene import OLD, Scene, good_collection
from trustdata.envelope import Envelope
from trustdata.errors import MetadataExpired, NotSigned, PolicyRefused
from trustdata.forecast import first_to_break, judge_at, other_clients
from trustdata.judgement import Question
from trustdata.roles import ONLINE, RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

ALICE = RoleName("targets/alice")
RENEWED = frozenset(ONLINE)
NOBODY: frozenset[RoleName] = frozenset()
SECOND = timedelta(seconds=1)


@pytest.fixture(params=[TUF, NOTARY], ids=lambda wire: wire.name)
def scene(request: pytest.FixtureRequest) -> Scene:
    return good_collection(request.param)


def asked(scene: Scene, *signers: str, tag: str = "1.0") -> Question:
    return Question(gun=scene.server.gun, tag=tag, digest=None, required_signers=signers)


def read(scene: Scene) -> dict[RoleName, Envelope]:
    """What a client has verified who has asked about releases and alice."""
    collection = scene.newcomer().collection()
    updater = collection.refresh()
    updater.load_published([RELEASES, ALICE])
    return updater.roles()


def shortened(roles: Mapping[RoleName, Envelope], role: RoleName, expires: datetime) -> dict[RoleName, Envelope]:
    """The same files, of which one expires then."""
    changed = copy.deepcopy(dict(roles))
    changed[role].content.expires = expires
    return changed


def early(scene: Scene) -> datetime:
    """Before the server must renew anything."""
    return scene.server.at + timedelta(days=1)


def test_before_anything_has_expired_the_verdict_is_that_of_now(scene: Scene) -> None:
    roles = read(scene)
    now = scene.newcomer().judge("1.0", None, "alice")
    then = judge_at(asked(scene, "alice"), roles, at=early(scene), renewed=NOBODY)
    assert (then.digest, then.allowed) == (now.digest, True)
    assert then.evidence == now.evidence, "nobody renews, so that everything runs out"


@pytest.mark.parametrize("role", [ROOT, TIMESTAMP, SNAPSHOT, TARGETS, RELEASES])
def test_each_role_that_is_needed_breaks_it_at_the_instant_of_its_expiry(scene: Scene, role: RoleName) -> None:
    at = early(scene)
    roles = shortened(read(scene), role, at)
    refusal = judge_at(asked(scene), roles, at=at, renewed=NOBODY).refusal
    assert isinstance(refusal, MetadataExpired)
    assert (refusal.role, refusal.at, refusal.expires) == (role, at, at)
    assert judge_at(asked(scene), roles, at=at - SECOND, renewed=NOBODY).allowed
    assert first_to_break(asked(scene), roles, renewed=NOBODY) is roles[role]


def test_the_first_role_in_a_clients_order_is_named(scene: Scene) -> None:
    for role in (TARGETS, SNAPSHOT, TIMESTAMP, ROOT):
        roles = read(scene)
        for later in (TARGETS, SNAPSHOT, TIMESTAMP, ROOT)[: (TARGETS, SNAPSHOT, TIMESTAMP, ROOT).index(role) + 1]:
            roles = shortened(roles, later, early(scene))
        refusal = judge_at(asked(scene), roles, at=early(scene), renewed=NOBODY).refusal
        assert isinstance(refusal, MetadataExpired)
        assert refusal.role == role


def test_what_the_server_renews_breaks_nothing(scene: Scene) -> None:
    roles, owners = read(scene), (ROOT, TARGETS, RELEASES)
    runs_out = min(roles[role].expires for role in owners)
    then = judge_at(asked(scene), roles, at=runs_out - SECOND, renewed=RENEWED)
    assert then.evidence is not None
    assert then.evidence.fresh_until == runs_out
    assert set(then.evidence.versions).isdisjoint(ONLINE)
    assert not judge_at(asked(scene), roles, at=runs_out, renewed=RENEWED).allowed
    first = first_to_break(asked(scene), roles, renewed=RENEWED)
    assert first is not None
    assert first.expires == runs_out


def test_a_signer_who_is_not_asked_for_breaks_nothing(scene: Scene) -> None:
    roles = shortened(read(scene), ALICE, early(scene))
    assert judge_at(asked(scene), roles, at=early(scene), renewed=NOBODY).allowed
    refusal = judge_at(asked(scene, "alice"), roles, at=early(scene), renewed=NOBODY).refusal
    assert isinstance(refusal, MetadataExpired)
    assert refusal.role == ALICE


def test_a_signer_who_has_signed_nothing_is_a_refusal_at_all_times(scene: Scene) -> None:
    refusal = judge_at(asked(scene, "bob"), read(scene), at=early(scene), renewed=NOBODY).refusal
    assert isinstance(refusal, PolicyRefused)
    assert isinstance(judge_at(asked(scene, tag="9"), read(scene), at=early(scene), renewed=NOBODY).refusal, NotSigned)


def test_nothing_breaks_what_somebody_renews(scene: Scene) -> None:
    assert first_to_break(asked(scene), read(scene), renewed=frozenset(read(scene))) is None


def answers(
    scene: Scene, roles: Mapping[RoleName, Envelope], question: Question | None = None
) -> list[tuple[str, str]]:
    told = other_clients(question or asked(scene), roles, at=early(scene), renewed=NOBODY, wire=scene.server.wire)
    return [(answer.refusal, answer.note) for answer in told]


def test_clients_of_others_take_what_has_not_expired(scene: Scene) -> None:
    kinds = 2 if scene.server.wire is TUF else 1
    assert answers(scene, read(scene)) == [("", "")] * kinds
    assert answers(scene, read(scene), asked(scene, "bob")) == [("", "")] * kinds, "they ask for no signer"


def test_tuf_clients_that_load_all_delegations_are_kept_out_by_each_of_them() -> None:
    scene = good_collection(TUF)
    roles = shortened(read(scene), ALICE, early(scene))
    (on_demand, _), (everything, _) = answers(scene, roles)
    assert on_demand == ""
    assert everything.startswith("targets/alice version 1 expired")
    del roles[ALICE]
    assert answers(scene, roles) == [("", "")] * 2, "what was not read is not known to have expired"
    expired = answers(scene, shortened(read(scene), TARGETS, early(scene)))
    assert expired[0] == expired[1]
    assert expired[0][0].startswith("targets version")


def test_notary_clients_pass_over_releases_that_have_expired_and_find_an_old_image() -> None:
    """That is why an expired signer's role is no harmless thing there."""
    scene = good_collection(NOTARY)
    roles = shortened(read(scene), RELEASES, early(scene))
    ((refusal, note),) = answers(scene, roles)
    assert refusal == ""
    assert note.endswith(f"look in targets: there it is sha256:{OLD}")
    ((refusal, note),) = answers(scene, roles, asked(scene, tag="2.0"))
    assert "2.0" in refusal
    assert note.endswith("look in targets")
    ((refusal, note),) = answers(scene, shortened(roles, ROOT, early(scene)))
    assert refusal.startswith("root version")
    assert note == ""


def test_of_files_that_expire_together_the_one_that_is_named_breaks_it(scene: Scene) -> None:
    roles = shortened(shortened(read(scene), SNAPSHOT, early(scene)), TARGETS, early(scene))
    first = first_to_break(asked(scene), roles, renewed=RENEWED)
    assert first is roles[TARGETS]


def test_a_verdict_that_no_file_decides_breaks_with_the_first_of_them(scene: Scene) -> None:
    roles = read(scene)
    first = min(roles.values(), key=lambda file: (file.expires, file.role))
    assert first_to_break(asked(scene, tag="9"), roles, renewed=frozenset(roles)) is first
