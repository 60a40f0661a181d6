"""Which digest a tag has, and what is said where there are two, or one that cannot be used."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest

from keys.record import replace
from tests.simulator.repository import APP
from tests.simulator.scene import EVIL, GOOD, OLD, OTHER, good_collection
from tests.simulator.signed_by import PLATFORM, signed_by
from tests.support.refusal import refused
from trustdata.denied import DenyList
from trustdata.envelope import Envelope
from trustdata.errors import ContentMismatch, DelegationOutOfScope, DigestDenied, ReleaseConflict
from trustdata.judgement import Question, judge
from trustdata.model import TargetFile
from trustdata.policy import Requirement
from trustdata.roles import RELEASES, TARGETS, RoleName, signer_name
from trustdata.verification.target_lookup import (
    MAX_CHILDREN,
    Target,
    check_release_conflicts,
    each_released,
    find_released,
    listed_by_signers,
    read_target,
    released_with_digest,
    releasing_roles,
    requires_published_releases,
    signers_of_target,
)
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

ALICE, BOB = RoleName("targets/alice"), RoleName("targets/bob")
Listed = Mapping[RoleName, Mapping[str, Any]]


def released(roles: Mapping[RoleName, Envelope]) -> dict[str, Target]:
    return {target.tag: target for target in each_released(roles)}


def target(digest: str, length: int = 1) -> dict[str, Any]:
    return {"hashes": {"sha256": digest}, "length": length}


WITHOUT_SHA256 = {"hashes": {"sha384": "ab" * 48, "sha512": "ab" * 64}, "length": 1}
NO_SHA256 = {"expected": "sha256", "found": "sha384, sha512"}


def collection(listed: Listed, wire: WireFormat = TUF, paths: list[str] | None = None) -> dict[RoleName, Envelope]:
    """The good collection with these targets alone; `paths`: of the releases."""
    scene = good_collection(wire)
    for role in (TARGETS, RELEASES, ALICE):
        scene.forger.alter(role, lambda d, r=role: d.update(targets=dict(listed.get(r, {}))))  # type: ignore[misc]
    if paths is not None:
        scene.forger.alter(TARGETS, lambda d: d["delegations"]["roles"][0].update(paths=paths))
    return scene.server.stored


# --- one target


def test_all_of_a_target() -> None:
    manifests = [EVIL, GOOD]
    file = TargetFile(42, {"sha256": OTHER}, "1.0", {"custom": {"oci": {"manifests": manifests}}})
    found = read_target(ALICE, "1.0", file)
    assert found == Target(tag="1.0", digest=OTHER, length=42, role=ALICE, children=(EVIL, GOOD))
    assert [found.has_manifest(digest) for digest in (OTHER, EVIL, GOOD, OLD)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("hashes", "found"),
    [
        ({"sha512": "ab" * 64}, "sha512"),
        ({"sha384": "ab" * 48, "sha512": "ab" * 64}, "sha384, sha512"),
        ({"sha256": GOOD[1:]}, "sha256"),
        ({"sha256": GOOD + "0"}, "sha256"),
        ({"sha256": GOOD.upper().replace("0", "A")}, "sha256"),
    ],
)
def test_a_target_without_a_whole_sha256(hashes: dict[str, str], found: str) -> None:
    with refused(ContentMismatch, role=ALICE, what="hash of 1.0", expected="sha256", found=found):
        read_target(ALICE, "1.0", TargetFile(1, hashes, "1.0"))


@pytest.mark.parametrize("number", [0, 1, MAX_CHILDREN])
def test_so_many_platforms_as_may_be(number: int) -> None:
    file = TargetFile(1, {"sha256": OTHER}, "1.0", {"custom": {"oci": {"manifests": [GOOD] * number}}})
    assert read_target(ALICE, "1.0", file).children == (GOOD,) * number


@pytest.mark.parametrize(
    "custom",
    [
        None,
        [],
        {},
        {"oci": [GOOD]},
        {"oci": {}},
        {"OCI": {"manifests": [GOOD]}},
        {"oci": {"manifests": GOOD}},
        {"oci": {"manifests": {GOOD: GOOD}}},
        {"oci": {"manifests": [GOOD, 1]}},
        {"oci": {"manifests": [GOOD, GOOD[1:]]}},
        {"oci": {"manifests": [GOOD] * (MAX_CHILDREN + 1)}},
    ],
)
def test_what_is_not_quite_a_list_of_platforms_is_none(custom: object) -> None:
    fields = {} if custom is None else {"custom": custom}
    assert read_target(ALICE, "1.0", TargetFile(1, {"sha256": OTHER}, "1.0", fields)).children == ()


# --- the released one


def test_who_releases(wire: WireFormat) -> None:
    both = good_collection(wire).server.stored[TARGETS].targets
    none = good_collection(wire).server.stored[ALICE].targets
    assert none.delegations is None or not none.delegations.roles
    assert releasing_roles(none) == (TARGETS,)
    assert releasing_roles(both) == ((RELEASES, TARGETS) if wire is NOTARY else (TARGETS, RELEASES))
    assert requires_published_releases(both) is (wire is TUF)
    assert not requires_published_releases(none)


def test_the_released_targets(wire: WireFormat) -> None:
    scene = good_collection(wire)
    one, two = scene.forger.target(GOOD, 7), scene.forger.target(OTHER, 8)
    roles = collection({TARGETS: {"2.0": two}, RELEASES: {"1.0": one}, ALICE: {"3.0": one}}, wire)
    first = Target(tag="1.0", digest=GOOD, length=7, role=RELEASES)
    second = Target(tag="2.0", digest=OTHER, length=8, role=TARGETS)
    assert released(roles) == {"1.0": first, "2.0": second}
    assert [find_released(tag, roles) for tag in ("1.0", "2.0", "3.0")] == [first, second, None]
    assert released_with_digest(GOOD, roles) == [first]
    assert released_with_digest(EVIL, roles) == []
    unpublished = {role: file for role, file in roles.items() if role != RELEASES}
    assert released(unpublished) == {"2.0": second}
    assert [found.tag for found in each_released(roles)] == ["1.0", "2.0"]
    check_release_conflicts(roles)
    check_release_conflicts(unpublished)


def test_tags_of_one_digest_are_sorted(wire: WireFormat) -> None:
    one = good_collection(wire).forger.target(GOOD)
    roles = collection({TARGETS: {"c": one, "a": one}, RELEASES: {"b": one}}, wire)
    assert [found.tag for found in released_with_digest(GOOD, roles)] == ["a", "b", "c"]


NOTARY_SHA512 = base64.b64encode(bytes(64)).decode()
PLATFORMS = {"custom": {"oci": {"manifests": [GOOD]}}}


def test_a_digest_is_found_as_one_looks_at_every_tag(wire: WireFormat) -> None:
    one, other, index = (scene.target(d) for scene in [good_collection(wire).forger] for d in (GOOD, OTHER, EVIL))
    plain: Listed = {TARGETS: {"c": one, GOOD: other, "a": one}, RELEASES: {"b": one, "d": other}}
    wide: Listed = {TARGETS: plain[TARGETS], RELEASES: {**plain[RELEASES], "e": {**index, **PLATFORMS}}}
    odd: Listed = {**wide, TARGETS: {"é": one, "f": {**other, "custom": {"oci": {"manifests": [GOOD, 1]}}}}}
    for listed in (plain, wide, odd):
        roles = collection(listed, wire)
        for digest in (GOOD, OTHER, EVIL, OLD, "", "é"):
            looked_at = [found for found in each_released(roles) if found.has_manifest(digest)]
            assert released_with_digest(digest, roles) == looked_at


def test_a_digest_is_found_that_the_text_of_the_file_hides(wire: WireFormat) -> None:
    """A file may write any character as an escape, so that the digest does not stand there as it is."""
    one, index = (good_collection(wire).forger.target(digest) for digest in (GOOD, EVIL))
    platforms = {"2.0": {**index, **PLATFORMS}} if wire is TUF else {}  # Notary v1 has one form of `custom` alone
    roles = collection({RELEASES: {"1.0": one, **platforms}}, wire)
    raw = roles[RELEASES].raw
    for text in (GOOD, base64.b64encode(bytes.fromhex(GOOD)).decode()):
        raw = raw.replace(text.encode(), f"\\u{ord(text[0]):04x}{text[1:]}".encode())
    assert raw != roles[RELEASES].raw
    hidden = {**roles, RELEASES: wire.parse(RELEASES, raw)}
    for found in (released_with_digest(GOOD, hidden), listed_by_signers([RELEASES], hidden, digest=GOOD)):
        assert [each.tag for each in found] == ["1.0", *platforms]


def test_tags_that_nobody_asked_about_refuse_no_digest() -> None:
    """One tag without SHA-256, or of which two digests are released, stopped every pull by digest."""
    wrong = {"1.0": WITHOUT_SHA256, "2.0": target(OLD)}
    roles = collection({TARGETS: {**wrong, "3.0": target(GOOD)}, RELEASES: {"2.0": target(EVIL)}})
    assert [found.tag for found in released_with_digest(GOOD, roles)] == ["3.0"]
    for digest in (OLD, EVIL):
        with pytest.raises(ReleaseConflict, match=r"2\.0"):
            released_with_digest(digest, roles)
    outside = collection({RELEASES: {"1.0": target(GOOD), "2.0": target(OLD)}}, paths=["1.*"])
    assert [found.tag for found in released_with_digest(GOOD, outside)] == ["1.0"]
    with pytest.raises(DelegationOutOfScope, match=r"2\.0"):
        released_with_digest(OLD, outside)


def test_an_unusable_target_has_no_digest() -> None:
    unusable = {"hashes": {"sha512": NOTARY_SHA512}, "length": 1, **PLATFORMS}
    good = good_collection(NOTARY).forger.target(GOOD)
    roles = collection({TARGETS: {"1.0": unusable, "2.0": good, "3.0": good}, RELEASES: {"3.0": unusable}}, NOTARY)
    assert [found.tag for found in released_with_digest(GOOD, roles)] == ["2.0"]


def test_what_signers_list_under_a_digest(wire: WireFormat) -> None:
    one, index = (good_collection(wire).forger.target(digest) for digest in (GOOD, EVIL))
    roles = collection({ALICE: {"1.0": one, "2.0": {**index, **PLATFORMS}, "3.0": index}}, wire)
    found = {digest: [each.tag for each in listed_by_signers([ALICE], roles, digest=digest)] for digest in (GOOD, EVIL)}
    assert found == {GOOD: ["1.0", "2.0"], EVIL: ["2.0", "3.0"]}
    assert [each.tag for each in listed_by_signers([ALICE], roles, "3.0", digest=GOOD)] == ["3.0"]


def test_a_signer_who_lists_nothing_of_it_hides_no_other(wire: WireFormat) -> None:
    """Whether the role has no file, or not the tag, or, in Notary v1, a target that is of no use."""
    one = good_collection(wire).forger.target(GOOD)
    roles = collection({RELEASES: {"2.0": one}, ALICE: {"1.0": one, "2.0": one}}, wire)
    for tag in ("1.0", "2.0"):
        assert BOB not in roles
        assert [each.tag for each in listed_by_signers([BOB, RELEASES, ALICE], roles, tag)] == [tag]
    assert [each.tag for each in listed_by_signers([BOB, ALICE], roles)] == ["1.0", "2.0"]
    if wire is NOTARY:
        unusable = {"hashes": {"sha512": NOTARY_SHA512}, "length": 1}
        roles = collection({ALICE: {"1.0": unusable, "2.0": one, "3.0": unusable, "4.0": one}}, wire)
        assert [each.tag for each in listed_by_signers([ALICE], roles)] == ["2.0", "4.0"]


def test_whoever_is_asked_first_the_platforms_are_those_that_any_signer_lists(wire: WireFormat) -> None:
    scene = signed_by(wire)
    scene.forger.alter(BOB, lambda d: d["targets"]["index"].pop("custom"))
    roles = scene.server.stored
    for order in ([ALICE, BOB], [BOB, ALICE]):
        (found,) = listed_by_signers(order, roles, "index")
        assert (found.role, found.children) == (order[0], (PLATFORM,))
        names = tuple(map(signer_name, order))
        alone = Requirement(source="a rule", signers=names, threshold=2, released=False)
        denied = (DenyList(APP, {f"sha256:{PLATFORM}": {}}),)
        question = Question(gun=APP, tag="index", digest=None, policy=(alone,))
        assert judge(question, roles).allowed
        assert isinstance(judge(replace(question, denied=denied), roles).refusal, DigestDenied)


def test_two_released_digests_are_a_conflict() -> None:
    roles = collection(
        {TARGETS: {"2.0": target(OLD), "1.0": target(OLD)}, RELEASES: {"1.0": target(GOOD), "2.0": target(GOOD)}}
    )
    for tag, look in (("1.0", check_release_conflicts), ("2.0", lambda roles: find_released("2.0", roles))):
        with refused(ReleaseConflict, target=tag, roles=[TARGETS, RELEASES], digests=[OLD, GOOD]):
            look(roles)
    with pytest.raises(ReleaseConflict):
        released(roles)


def test_in_notary_v1_the_releases_take_precedence() -> None:
    scene = good_collection(NOTARY)
    old, good = scene.forger.target(OLD), scene.forger.target(GOOD)
    roles = collection({TARGETS: {"1.0": old}, RELEASES: {"1.0": good}}, NOTARY)
    check_release_conflicts(roles)
    assert released(roles) == {"1.0": Target(tag="1.0", digest=GOOD, length=1, role=RELEASES)}
    narrow = collection({TARGETS: {"1.0": old}, RELEASES: {"1.0": good, "2.0": good}}, NOTARY, paths=["v"])
    assert released(narrow) == {"1.0": Target(tag="1.0", digest=OLD, length=1, role=TARGETS)}


def test_a_released_tag_outside_the_paths() -> None:
    roles = collection({RELEASES: {"v1": target(GOOD), "1.0": target(GOOD)}}, paths=["v*"])
    assert find_released("v1", roles) is not None
    with refused(DelegationOutOfScope, role=RELEASES, target="1.0"):
        find_released("1.0", roles)


def test_a_conflict_of_targets_that_cannot_be_used() -> None:
    roles = collection({TARGETS: {"1.0": target(OLD)}, RELEASES: {"1.0": WITHOUT_SHA256}})
    for look in (check_release_conflicts, released, lambda roles: find_released("1.0", roles)):
        with refused(ContentMismatch, role=RELEASES, what="hash of 1.0", **NO_SHA256):
            look(roles)


# --- its signers


def test_signers(wire: WireFormat) -> None:
    scene = good_collection(wire)
    one = scene.forger.target(GOOD) | {"custom": {"oci": {"manifests": [EVIL]}}}
    listed = {RELEASES: {"1.0": one, "2.0": one, "3.0": one}, ALICE: {"1.0": one, "2.0": scene.forger.target(OLD)}}
    roles = collection(listed, wire)
    tags = released(roles)
    signers = [BOB, ALICE]
    assert [signers_of_target(tags[tag], roles, signers) for tag in ("1.0", "2.0", "3.0")] == [(ALICE,), (), ()]
    assert signers_of_target(tags["1.0"], roles, signers, EVIL) == (ALICE,)
    assert signers_of_target(tags["1.0"], roles, signers, OTHER) == ()
    assert signers_of_target(tags["1.0"], roles, [RELEASES, ALICE]) == (RELEASES, ALICE)


def test_a_signer_whose_paths_do_not_hold_the_tag() -> None:
    scene = good_collection()
    scene.forger.alter(TARGETS, lambda d: d["delegations"]["roles"][1].update(paths=["v*"]))
    roles = scene.server.stored
    assert signers_of_target(released(roles)["1.0"], roles, [ALICE]) == ()


def test_a_signer_whose_target_cannot_be_used() -> None:
    roles = collection({RELEASES: {"1.0": target(GOOD)}, ALICE: {"1.0": WITHOUT_SHA256}})
    with refused(ContentMismatch, role=ALICE, what="hash of 1.0", **NO_SHA256):
        signers_of_target(released(roles)["1.0"], roles, [ALICE])
