"""Denied digests: who may write them, what is malformed, and that nothing else counts where one is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from keys.errors import KeyNotFound
from tests.simulator.owner import Owner, digest_of
from tests.simulator.repository import APP
from tests.simulator.scene import GOOD, NEWER, OTHER, Scene, good_collection
from trustdata.denied import DENIED_MEMBER, MAX_DENIED, MAX_REASON, DenyList, deny_list
from trustdata.editing import denying
from trustdata.editing.difference import DeniedChange, difference
from trustdata.errors import (
    DigestDenied,
    FormatCannotDeny,
    MalformedMetadata,
    NotSigned,
    PublishRefused,
    TrustError,
)
from trustdata.judgement import Question, judge
from trustdata.roles import RELEASES, ROOT, TARGETS, RoleName
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS

INDEX, ARM, AMD = digest_of("index"), digest_of("arm"), digest_of("amd")
WHY = "CVE-2026-1, a stolen key"


@pytest.fixture(params=FORMATS.values(), ids=list(FORMATS))
def wire(request: pytest.FixtureRequest) -> WireFormat:
    found: WireFormat = request.param
    return found


@pytest.fixture
def scene(wire: WireFormat) -> Scene:
    return good_collection(wire)


def refusal_of(scene: Scene, tag: str | None, digest: str | None = None) -> TrustError | None:
    return scene.newcomer().judge(tag, None if digest is None else f"sha256:{digest}").refusal


def denied(refusal: TrustError | None) -> DigestDenied:
    assert isinstance(refusal, DigestDenied)
    return refusal


# --- who writes it, and what is malformed


def forge(scene: Scene, value: object, role: RoleName = TARGETS, member: str = DENIED_MEMBER) -> None:
    scene.forger.alter(role, lambda d: d.update({"version": d["version"] + 1, member: value}))


def written(scene: Scene, value: object, role: RoleName = TARGETS, member: str = DENIED_MEMBER) -> MalformedMetadata:
    """What clients say of a file with this member."""
    forge(scene, value, role, member)
    refusal = scene.newcomer().judge("1.0", None, "alice").refusal
    assert isinstance(refusal, MalformedMetadata)
    return refusal


D = "sha256:" + "d" * 64
E: dict[str, Any] = {}
MALFORMED: list[tuple[object, str, str]] = [
    ([D], "", "must be an object"),
    ({"sha256:" + "D" * 64: E}, "", "must name digests"),
    ({"sha256:" + "d" * 63: E}, "", "must name digests"),
    ({"sha256:" + "d" * 65: E}, "", "must name digests"),
    ({"sha256:" + "d" * 64 + "\n": E}, "", "must name digests"),
    ({"sha512:" + "d" * 64: E}, "", "must name digests"),
    ({"d" * 64: E}, "", "must name digests"),
    ({"": E}, "", "must name digests"),
    ({D: "reason"}, f".{D}", "must be an object"),
    ({D: None}, f".{D}", "must be an object"),
    ({D: {"reason": 1}}, f".{D}.reason", "must be text"),
    ({D: {"reason": "x" * (MAX_REASON + 1)}}, f".{D}.reason", "must be text of at most"),
    ({f"sha256:{n:064x}": E for n in range(MAX_DENIED + 1)}, "", f"has more than {MAX_DENIED} entries"),
]


@pytest.mark.parametrize(("value", "place", "reason"), MALFORMED)
def test_a_malformed_list_is_no_list_and_its_file_is_refused(
    scene: Scene, value: object, place: str, reason: str
) -> None:
    error = written(scene, value)
    assert (error.role, error.path) == (TARGETS, f"signed.{DENIED_MEMBER}{place}")
    assert reason in error.reason


@pytest.mark.parametrize("role", [RELEASES, RoleName("targets/alice")])
def test_no_delegation_denies_anything(scene: Scene, role: RoleName) -> None:
    error = written(scene, {D: E}, role)
    assert (error.role, error.path) == (role, f"signed.{DENIED_MEMBER}")
    assert "belongs to targets" in error.reason


@pytest.mark.parametrize("digest", [D, "sha512:" + "d" * 128])
def test_both_kinds_of_digests_and_what_is_not_known_yet_are_well_formed(scene: Scene, digest: str) -> None:
    value = {digest: {"reason": "x" * MAX_REASON, "since": "some day"}}
    forge(scene, value)
    assert digest in deny_list(APP, scene.owner.read()[TARGETS].targets)


def test_a_list_as_long_as_may_be_is_read(scene: Scene) -> None:
    value = {f"sha256:{n:064x}": E for n in range(MAX_DENIED)}
    forge(scene, value)
    assert len(deny_list(APP, scene.owner.read()[TARGETS].targets)) == MAX_DENIED


def test_a_name_that_differs_in_case_alone_is_refused_where_go_reads_it_so() -> None:
    scene = good_collection(FORMATS["notary-v1"])
    assert "would be read as" in written(scene, {}, member=DENIED_MEMBER.upper()).reason


def test_who_holds_no_repository_key_cannot_deny(scene: Scene) -> None:
    with pytest.raises(KeyNotFound, match="for targets"):
        Owner(scene.server, "alice").deny(GOOD)
    assert refusal_of(scene, "1.0") is None


# --- deny beats every allow


def test_a_denied_digest_is_refused_by_tag_and_by_digest(scene: Scene) -> None:
    assert refusal_of(scene, "1.0") is None
    scene.owner.deny(GOOD, reason=WHY)
    for asked in (("1.0", None), ("1.0", GOOD), (None, GOOD)):
        error = denied(refusal_of(scene, *asked))
        assert (error.name, error.denied_by, error.reason) == (APP, APP, WHY)
        assert error.digest == error.denied == f"sha256:{GOOD}"
        assert str(error) == f"{APP}@sha256:{GOOD} is denied by {APP}: {WHY}"
    assert refusal_of(scene, "2.0") is None


def test_no_signer_outweighs_it(scene: Scene) -> None:
    scene.owner.deny(GOOD)
    assert isinstance(scene.newcomer().judge("1.0", None, "alice").refusal, DigestDenied)


def test_a_denied_digest_that_nobody_has_signed_is_said_to_be_denied(scene: Scene) -> None:
    assert isinstance(refusal_of(scene, None, NEWER), NotSigned)
    scene.owner.deny(NEWER)
    assert denied(refusal_of(scene, None, NEWER)).reason == ""
    denied(refusal_of(scene, "1.0", NEWER))


def test_what_is_denied_no_longer_runs_again(scene: Scene) -> None:
    scene.owner.deny(GOOD, OTHER)
    scene.owner.deny_no_longer(GOOD)
    assert refusal_of(scene, "1.0") is None
    denied(refusal_of(scene, "2.0"))
    scene.owner.deny_no_longer(OTHER)
    assert DENIED_MEMBER not in scene.owner.read()[TARGETS].targets.unrecognized_fields


def test_a_denied_platform_stops_itself_and_the_index_and_no_other_platform(scene: Scene) -> None:
    scene.owner.sign("multi", INDEX, ARM, AMD)
    scene.owner.deny(ARM)
    assert denied(refusal_of(scene, None, ARM)).digest == f"sha256:{ARM}"
    for asked in (("multi", None), ("multi", INDEX), (None, INDEX)):
        error = denied(refusal_of(scene, *asked))
        assert (error.digest, error.denied) == (f"sha256:{INDEX}", f"sha256:{ARM}")
        assert "lists the platform" in str(error)
    assert refusal_of(scene, None, AMD) is None
    assert refusal_of(scene, "multi", AMD) is None


def test_a_denied_index_vouches_for_no_platform_but_another_one_does(scene: Scene) -> None:
    scene.owner.sign("multi", INDEX, ARM, AMD)
    scene.owner.deny(INDEX)
    for asked in (("multi", None), (None, ARM), ("multi", AMD)):
        assert denied(refusal_of(scene, *asked)).digest == f"sha256:{INDEX}"
    scene.owner.sign("another", NEWER, AMD)
    assert refusal_of(scene, None, AMD) is None
    denied(refusal_of(scene, "multi", AMD))
    denied(refusal_of(scene, None, ARM))


def test_lists_of_others_count_beside_that_of_the_collection(scene: Scene) -> None:
    roles = scene.owner.read()
    question = Question(gun=APP, tag="1.0", digest=None, denied=(DenyList("x.example/deny", {f"sha256:{GOOD}": E}),))
    assert denied(judge(question, roles).refusal).denied_by == "x.example/deny"
    assert judge(Question(gun=APP, tag="2.0", digest=None, denied=question.denied), roles).refusal is None


def test_lists_are_equal_if_they_say_the_same() -> None:
    one, same = DenyList("a", {D: {"reason": "x"}}), DenyList("a", {D: {"reason": "x"}})
    assert one == same
    assert hash(one) == hash(same)
    assert one != DenyList("b", {D: {"reason": "x"}})
    assert one != DenyList("a", {D: {"reason": "y"}})
    assert one != D
    assert (one.reason(D), one.entry("else"), D in one) == ("x", {}, True)


# --- it lasts


CHANGES: list[Callable[[Owner], object]] = [
    lambda owner: owner.add_signer("carol"),
    lambda owner: owner.remove_signer("bob"),
    lambda owner: owner.renew(TARGETS, ROOT),
    lambda owner: owner.sign("3.0", NEWER),
    lambda owner: owner.revoke("2.0"),
    lambda owner: Owner(owner.server, "alice").sign("3.0", NEWER),
]


@pytest.mark.parametrize("change", CHANGES)
def test_it_lasts_whatever_is_signed_next(scene: Scene, change: Callable[[Owner], object]) -> None:
    scene.owner.deny(GOOD, reason=WHY)
    change(scene.owner)
    assert denied(refusal_of(scene, "1.0")).reason == WHY


def test_a_format_whose_programs_drop_it_is_not_written() -> None:
    scene = good_collection(FORMATS["notary-v1"])
    with pytest.raises(FormatCannotDeny, match="docker and notary drop the list") as caught:
        denying.deny(APP, scene.owner.read(), {D: ""}, terms=scene.owner.terms)
    assert caught.value.role == TARGETS


def test_a_reason_is_kept_unless_another_is_given_and_so_is_what_others_have_written() -> None:
    scene = good_collection()
    value = {D: {"reason": "one", "ticket": 7}}
    forge(scene, value)
    roles, terms = scene.owner.read(), scene.owner.terms
    assert denying.deny(APP, roles, {D: ""}, terms=terms) == {}
    changed = denying.deny(APP, roles, {D: "two"}, terms=terms)[TARGETS]
    assert changed.unrecognized_fields[DENIED_MEMBER] == {D: {"reason": "two", "ticket": 7}}
    assert roles[TARGETS].targets.unrecognized_fields[DENIED_MEMBER] == value
    assert denying.deny_no_longer(APP, roles, [f"sha256:{GOOD}"], terms=terms) == {}


def test_a_list_that_would_be_too_long_is_refused_before_it_is_signed() -> None:
    scene = good_collection()
    more = {f"sha256:{n:064x}": "" for n in range(MAX_DENIED + 1)}
    with pytest.raises(PublishRefused, match=f"would deny {MAX_DENIED + 1} digests"):
        denying.deny(APP, scene.owner.read(), more, terms=scene.owner.terms)


def test_what_changes_is_listed() -> None:
    scene = good_collection()
    scene.owner.deny(GOOD, OTHER, reason="old")
    roles, terms = scene.owner.read(), scene.owner.terms
    good, other = f"sha256:{GOOD}", f"sha256:{OTHER}"
    added = difference(roles, denying.deny(APP, roles, {D: WHY, good: "new"}, terms=terms)).denied
    assert set(added) == {
        DeniedChange(digest=D, before=None, after=WHY),
        DeniedChange(digest=good, before="old", after="new"),
    }
    assert {change.digest: change.kind for change in added} == {D: "added", good: "changed"}
    (removed,) = difference(roles, denying.deny_no_longer(APP, roles, [other], terms=terms)).denied
    assert (removed.digest, removed.kind) == (other, "removed")


def test_released_tags_that_nothing_lets_run_are_found() -> None:
    scene = good_collection()
    scene.owner.sign("multi", INDEX, ARM, AMD)
    scene.owner.deny(ARM, OTHER)
    roles = scene.owner.read()
    found = denying.released_although_denied(deny_list(APP, roles[TARGETS].targets), roles.released().values())
    assert sorted(target.tag for target in found) == ["2.0", "multi"]
