"""The steps of a client: every refusal with all its fields, and what stays accepted after it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.simulator.forgery import Document
from tests.simulator.repository import APP, NOW
from tests.simulator.scene import Scene, good_collection
from tests.support.refusal import refused
from trustdata.errors import (
    CertificateOfAnotherName,
    ContentMismatch,
    LivesTooLong,
    MetadataExpired,
    MetadataMissing,
    RootOfAnotherName,
    ThresholdNotMet,
    VersionMismatch,
    VersionRollback,
)
from trustdata.gun import NAME_MEMBER, parse_gun
from trustdata.lifetimes import UNLIMITED_LIFE, MaxLife
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification.lock_entry import LockEntry, SourcedLock
from trustdata.verification.rollback_memory import Memory, OnlineKeys, SeenRole
from trustdata.verification.trust_pinning import Pin
from trustdata.verification.trusted_set import TrustedSet
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

ALICE, BOB = RoleName("targets/alice"), RoleName("targets/bob")
ANOTHER = parse_gun("registry.example.com/team/other")
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
STEPS = (TIMESTAMP, SNAPSHOT, TARGETS, RELEASES)


def begun(scene: Scene, *, root: bytes = b"", **options: Any) -> TrustedSet:
    """A client with the first step behind it."""
    known = {"gun": APP, "wire": scene.server.wire, "at": NOW, **options}
    return TrustedSet(root=root or scene.forger.raw(ROOT), **known)


def loaded(scene: Scene, until: RoleName, **options: Any) -> TrustedSet:
    """A client with the steps of the good collection behind it, up to and with one."""
    trusted = begun(scene, **options)
    for role in STEPS[: STEPS.index(until) + 1]:
        step(trusted, scene, role)
    return trusted


def step(trusted: TrustedSet, scene: Scene, role: RoleName) -> None:
    raw = scene.forger.raw(role)
    if role in (TIMESTAMP, SNAPSHOT):
        (trusted.update_timestamp if role == TIMESTAMP else trusted.update_snapshot)(raw)
    else:
        trusted.update_targets(raw, role, ROOT if role == TARGETS else TARGETS)


def seen(scene: Scene, versions: Mapping[str, int], *, named: bool = False) -> Memory:
    root = scene.server.stored[ROOT]
    keys = OnlineKeys.of(root.root)
    return Memory(
        root_of_trust=root.sha256,
        roles={RoleName(r): SeenRole(version=v, root_version=root.version, keys=keys) for r, v in versions.items()},
        named=named,
    )


def written(at: datetime) -> str:
    return f"{at:%FT%TZ}"


def expired(document: Document) -> None:
    document["expires"] = written(NOW)


def until(end: datetime) -> Any:
    return lambda document: document.update(version=document["version"] + 1, expires=written(end))


def unsigned(scene: Scene, role: RoleName, version: int, delegator: str, *names: str) -> Any:
    """The refusal of a file without any signature that counts."""
    keys = [scene.server.online[role].public_key.keyid] if role in scene.server.online else []
    keys = keys or [scene.keys.keyid(name) for name in names]
    return refused(
        ThresholdNotMet, role=role, version=version, delegator=delegator, threshold=1, signed=[], unsigned=keys
    )


# --- the roots


def test_a_first_root_that_has_not_signed_itself(wire: WireFormat) -> None:
    scene = good_collection(wire)
    keyids = list(scene.server.stored[ROOT].root.roles[ROOT].keyids)
    with refused(
        ThresholdNotMet, role=ROOT, version=3, delegator="root version 3", threshold=1, signed=[], unsigned=keyids
    ):
        begun(scene, root=scene.forger.successor(ROOT, signers=[]).raw)


def test_a_first_root_of_another_collection() -> None:
    for scene, kind, fields in (
        (good_collection(), RootOfAnotherName, {"role": ROOT, "version": 2, "named": APP}),
        (good_collection(NOTARY), CertificateOfAnotherName, {}),
    ):
        root = scene.server.stored[ROOT]
        more = fields or {"keyid": root.root.roles[ROOT].keyids[0]}
        with refused(kind, gun=ANOTHER, **more):
            begun(scene, gun=ANOTHER)
        anybody = begun(scene, gun=ANOTHER, unsafe_accept_any_name=True)
        anybody.update_root(scene.forger.next_root(lambda _: None))
        assert anybody.is_named


def test_roots_that_follow(wire: WireFormat) -> None:
    scene = good_collection(wire)
    trusted = begun(scene)
    with refused(VersionMismatch, role=ROOT, offered=2, expected=3):
        trusted.update_root(scene.forger.raw(ROOT))
    new = scene.forger.next_root(lambda _: None)
    assert trusted.update_root(new) is trusted.root
    assert [root.version for root in trusted.roots] == [2, 3]
    assert trusted.lifetimes == wire.lifetimes
    step(trusted, scene, TIMESTAMP)
    with pytest.raises(RuntimeError, match="roots come before the timestamp"):
        trusted.update_root(new)


def test_a_root_that_no_longer_names_its_collection() -> None:
    scene = good_collection()
    unnamed = scene.forger.successor(ROOT, lambda d: d.pop(NAME_MEMBER)).raw
    trusted = begun(scene)
    with refused(RootOfAnotherName, gun=APP, role=ROOT, version=3, named=""):
        trusted.update_root(unnamed)
    assert trusted.root.version == 2
    assert trusted.is_named
    first = begun(scene, root=unnamed)
    assert not first.is_named
    assert first.names_collection(trusted.root)


@pytest.mark.parametrize("role", [TIMESTAMP, SNAPSHOT])
def test_which_roots_replaced_online_keys(wire: WireFormat, role: RoleName) -> None:
    scene = good_collection(wire)
    trusted = begun(scene, root=scene.server.files["1.root.json"])
    trusted.update_root(scene.forger.raw(ROOT))
    assert [trusted.replaced_online_keys(since) for since in (1, 2, 3)] == [False, False, False]
    scene.owner.replace_online_key(role)
    trusted.update_root(scene.forger.raw(ROOT))
    assert [trusted.replaced_online_keys(since) for since in (1, 2, 3, 4)] == [True, True, False, False]


# --- timestamp


def test_a_root_that_has_expired(wire: WireFormat) -> None:
    scene = good_collection(wire)
    root = scene.forger.next_root(expired)
    trusted = begun(scene, root=root)
    with refused(MetadataExpired, role=ROOT, version=3, expires=written(NOW), at=written(NOW)):
        step(trusted, scene, TIMESTAMP)
    assert trusted.timestamp is None
    loaded(scene, SNAPSHOT, root=root, unsafe_accept_expired_offline_roles=True)


def test_a_root_chain_that_ends_before_the_known_one(wire: WireFormat) -> None:
    scene = good_collection(wire)
    entry = LockEntry(format=wire.name, root_version=3, root=Pin("sha256", "ab" * 32), minimum={})
    for options, source in (
        ({"memory": seen(scene, {ROOT: 3})}, "seen before"),
        ({"lock": SourcedLock(entry=entry, source="trust.lock")}, "locked in trust.lock"),
    ):
        with refused(VersionRollback, role=ROOT, offered=2, known=3, source=source):
            loaded(scene, TIMESTAMP, **options)


def test_a_chain_without_the_name_that_was_seen_in_it() -> None:
    scene = good_collection()
    root = scene.forger.next_root(lambda d: d.pop(NAME_MEMBER))
    loaded(scene, TIMESTAMP, root=root, memory=seen(scene, {}))
    with refused(RootOfAnotherName, gun=APP, role=ROOT, version=3, named=""):
        loaded(scene, TIMESTAMP, root=root, memory=seen(scene, {}, named=True))


def test_a_timestamp_by_a_stranger(wire: WireFormat) -> None:
    scene = good_collection(wire)
    with unsigned(scene, TIMESTAMP, 8, ROOT):
        begun(scene).update_timestamp(scene.forger.successor(TIMESTAMP, signers=[]).raw)


def test_an_older_timestamp(wire: WireFormat) -> None:
    scene = good_collection(wire)
    trusted = loaded(scene, TIMESTAMP)
    older = scene.forger.successor(TIMESTAMP, lambda d: d.update(version=6)).raw
    with refused(VersionRollback, role=TIMESTAMP, offered=6, known=7, source="verified before"):
        trusted.update_timestamp(older)
    with refused(VersionRollback, role=TIMESTAMP, offered=6, known=7, source="seen before"):
        begun(scene, memory=seen(scene, {TIMESTAMP: 7})).update_timestamp(older)


def test_the_same_version_of_a_timestamp_is_not_taken_again(wire: WireFormat) -> None:
    scene = good_collection(wire)
    trusted = loaded(scene, TIMESTAMP)
    first = trusted.timestamp
    assert first is not None
    assert trusted.update_timestamp(scene.forger.successor(TIMESTAMP, lambda d: d.update(version=7)).raw) is first
    trusted.at = first.expires
    other = scene.forger.successor(TIMESTAMP, lambda d: d.update(version=7, expires="2026-12-01T00:00:00Z"))
    with refused(MetadataExpired, role=TIMESTAMP, version=7, expires=written(first.expires), at=written(first.expires)):
        trusted.update_timestamp(other.raw)


def test_an_older_snapshot_in_a_newer_timestamp() -> None:
    scene = good_collection()

    def older(document: Document) -> None:
        document["meta"]["snapshot.json"]["version"] = 6

    raw = scene.forger.successor(TIMESTAMP, older).raw
    with refused(VersionRollback, role=SNAPSHOT, offered=6, known=7, source="named by the timestamp before"):
        loaded(scene, TIMESTAMP).update_timestamp(raw)
    with refused(VersionRollback, role=SNAPSHOT, offered=6, known=7, source="seen before"):
        begun(scene, memory=seen(scene, {SNAPSHOT: 7})).update_timestamp(raw)
    begun(scene).update_timestamp(raw)


@pytest.mark.parametrize("role", [TIMESTAMP, SNAPSHOT])
def test_an_online_role_that_has_expired_is_kept_to_compare_with(wire: WireFormat, role: RoleName) -> None:
    scene = good_collection(wire)
    scene.forger.alter(role, lambda d: d.update(version=8, expires=written(NOW)))
    trusted = begun(scene, unsafe_accept_expired_offline_roles=True)
    with refused(MetadataExpired, role=role, version=8, expires=written(NOW), at=written(NOW)):
        for each in (TIMESTAMP, SNAPSHOT):
            step(trusted, scene, each)
    assert trusted.versions()[role] == 8
    with refused(MetadataExpired, role=role, version=8, expires=written(NOW), at=written(NOW)):
        step(trusted, scene, SNAPSHOT if role == TIMESTAMP else TARGETS)


@pytest.mark.parametrize("role", [TIMESTAMP, SNAPSHOT])
def test_an_online_role_that_lives_too_long(wire: WireFormat, role: RoleName) -> None:
    scene = good_collection(wire)
    limit = wire.max_life.of(role)
    assert limit is not None
    for end in (NOW + limit, NOW + limit + SECOND):
        scene.forger.alter(role, until(end))
        if end == NOW + limit:
            loaded(scene, TARGETS)
    version = scene.server.stored[role].version
    fields = {"version": version, "expires": written(end), "at": written(NOW), "limit": limit.days * 86400}
    with refused(LivesTooLong, role=role, **fields):
        loaded(scene, TARGETS)
    owner = loaded(scene, TARGETS, unsafe_accept_expired_offline_roles=True)
    assert {r: error.details() for r, error in owner.overlong.items()} == {role: {"role": role, **fields}}
    assert not loaded(scene, TARGETS, max_life=UNLIMITED_LIFE).overlong
    with refused(LivesTooLong, role=TIMESTAMP, **{**_times(scene, TIMESTAMP), "limit": 1}):
        loaded(scene, TARGETS, max_life=MaxLife(snapshot=SECOND, timestamp=SECOND))


def _times(scene: Scene, role: RoleName) -> dict[str, object]:
    file = scene.server.stored[role]
    return {"version": file.version, "expires": written(file.expires), "at": written(NOW)}


# --- snapshot


def test_another_snapshot_than_the_timestamp_names(wire: WireFormat) -> None:
    scene = good_collection(wire)
    trusted = loaded(scene, TIMESTAMP)
    other = scene.forger.raw(SNAPSHOT) + b" "
    lengths = {"expected": str(len(scene.forger.raw(SNAPSHOT))), "found": str(len(other))}
    with refused(ContentMismatch, role=SNAPSHOT, what="length", **lengths):
        trusted.update_snapshot(other)
    assert trusted.snapshot is None


def test_a_snapshot_by_a_stranger(wire: WireFormat) -> None:
    scene = good_collection(wire)
    scene.forger.alter(SNAPSHOT, lambda d: d.update(version=8), signers=[])
    with unsigned(scene, SNAPSHOT, 8, ROOT):
        loaded(scene, SNAPSHOT)


def test_a_cached_snapshot_is_kept_although_the_timestamp_names_a_newer_one(wire: WireFormat) -> None:
    scene = good_collection(wire)
    cached = scene.forger.raw(SNAPSHOT)
    scene.forger.alter(SNAPSHOT, lambda d: d.update(version=8))
    trusted = loaded(scene, TIMESTAMP)
    mismatch = VersionMismatch if wire is TUF else ContentMismatch
    for _ in range(2):
        with pytest.raises(mismatch):
            trusted.update_snapshot(cached, cached=True)
        assert trusted.snapshot is not None
        assert trusted.snapshot.version == 7
    with pytest.raises(mismatch):
        trusted.role_meta(TARGETS)
    assert trusted.update_snapshot(scene.forger.raw(SNAPSHOT)).version == 8
    assert trusted.role_meta(TARGETS) == scene.server.stored[SNAPSHOT].snapshot.meta["targets.json"]


def test_another_version_than_the_timestamp_names() -> None:
    scene = good_collection()
    scene.forger.name_snapshot(scene.server.meta(9, scene.forger.raw(SNAPSHOT)))
    with refused(VersionMismatch, role=SNAPSHOT, offered=7, expected=9):
        loaded(scene, SNAPSHOT)


def test_a_role_that_a_newer_snapshot_drops() -> None:
    scene = good_collection()
    trusted = loaded(scene, TIMESTAMP)
    cached = scene.forger.raw(SNAPSHOT)
    scene.forger.list_in_snapshot(ALICE, None)
    step(trusted, scene, TIMESTAMP)
    with pytest.raises(VersionMismatch):
        trusted.update_snapshot(cached, cached=True)
    with refused(VersionRollback, role=ALICE, offered=0, known=1, source="listed by the snapshot before"):
        step(trusted, scene, SNAPSHOT)


def test_an_older_snapshot_in_notary_v1() -> None:
    scene = good_collection(NOTARY)
    trusted = loaded(scene, TIMESTAMP)
    cached = scene.forger.raw(SNAPSHOT)
    scene.forger.alter(SNAPSHOT, lambda d: d.update(version=6))
    step(trusted, scene, TIMESTAMP)
    with pytest.raises(ContentMismatch) as other:
        trusted.update_snapshot(cached, cached=True)
    assert other.value.role == SNAPSHOT
    with refused(VersionRollback, role=SNAPSHOT, offered=6, known=7, source="verified before"):
        step(trusted, scene, SNAPSHOT)
    fresh = loaded(scene, TIMESTAMP, memory=seen(scene, {SNAPSHOT: 7}))
    for is_cached in (False, True):
        with refused(VersionRollback, role=SNAPSHOT, offered=6, known=7, source="seen before"):
            fresh.update_snapshot(scene.forger.raw(SNAPSHOT), cached=is_cached)
        assert (fresh.snapshot is None) is not is_cached


@pytest.mark.parametrize(("role", "known"), [(TARGETS, 5), (ALICE, 2), (BOB, 1)])
def test_a_snapshot_below_the_minimum_versions(role: RoleName, known: int) -> None:
    """Also of a role that it does not list. A minimum of another role, which stands before it, is kept."""
    scene = good_collection()
    memory = seen(scene, {"root": 2, "timestamp": 7, "snapshot": 7, RELEASES: 3, role: known})
    offered = scene.server.stored[role].version if role in scene.server.stored else 0
    for is_cached in (False, True):
        trusted = loaded(scene, TIMESTAMP, memory=memory)
        with refused(VersionRollback, role=role, offered=offered, known=known, source="seen before"):
            trusted.update_snapshot(scene.forger.raw(SNAPSHOT), cached=is_cached)


def test_another_root_than_a_notary_snapshot_lists() -> None:
    scene = good_collection(NOTARY)
    other = scene.forger.successor(ROOT, lambda d: d.update(expires="2036-10-29T12:00:00.123456789Z")).raw
    trusted = begun(scene)
    trusted.update_root(other)
    step(trusted, scene, TIMESTAMP)
    lengths = {"expected": str(len(scene.forger.raw(ROOT))), "found": str(len(other))}
    with refused(ContentMismatch, role=ROOT, what="length", **lengths):
        step(trusted, scene, SNAPSHOT)


# --- targets and delegations


def test_a_role_that_the_snapshot_does_not_list(wire: WireFormat) -> None:
    with refused(MetadataMissing, "the snapshot does not list it", role=BOB):
        loaded(good_collection(wire), SNAPSHOT).role_meta(BOB)


@pytest.mark.parametrize("role", [TARGETS, ALICE])
def test_another_file_than_the_snapshot_lists(wire: WireFormat, role: RoleName) -> None:
    scene = good_collection(wire)
    trusted = loaded(scene, TARGETS)
    other = scene.forger.raw(role)[:-1] + b" "
    hashes = {"expected": scene.server.stored[role].sha256, "found": hashlib.sha256(other).hexdigest()}
    with refused(ContentMismatch, role=role, what="sha256", **hashes):
        trusted.update_targets(other, role, ROOT if role == TARGETS else TARGETS)


def test_offline_roles_by_strangers(wire: WireFormat) -> None:
    for role, delegator, version, names in ((TARGETS, ROOT, 5, ["targets"]), (ALICE, TARGETS, 2, ["alice"])):
        scene = good_collection(wire)
        scene.forger.alter(role, lambda d: d.update(version=d["version"] + 1), signers=[])
        trusted = loaded(scene, SNAPSHOT if role == TARGETS else TARGETS)
        with unsigned(scene, role, version, delegator, *names):
            trusted.update_targets(scene.forger.raw(role), role, delegator)
        assert role not in trusted.delegated


def test_another_version_than_the_snapshot_lists() -> None:
    scene = good_collection()
    scene.forger.list_in_snapshot(ALICE, scene.server.meta(2, scene.forger.raw(ALICE)))
    trusted = loaded(scene, TARGETS)
    with refused(VersionMismatch, role=ALICE, offered=1, expected=2):
        trusted.update_targets(scene.forger.raw(ALICE), ALICE, TARGETS)


def test_an_older_file_in_notary_v1() -> None:
    scene = good_collection(NOTARY)
    trusted = loaded(scene, TARGETS, memory=seen(scene, {"targets": 4, ALICE: 2}))
    with refused(VersionRollback, role=ALICE, offered=1, known=2, source="seen before"):
        trusted.update_targets(scene.forger.raw(ALICE), ALICE, TARGETS)


@pytest.mark.parametrize("role", [TARGETS, ALICE])
def test_an_offline_role_that_has_expired(wire: WireFormat, role: RoleName) -> None:
    scene = good_collection(wire)
    scene.forger.alter(role, lambda d: d.update(version=d["version"] + 1, expires=written(NOW)))
    version, delegator = scene.server.stored[role].version, ROOT if role == TARGETS else TARGETS
    trusted = loaded(scene, SNAPSHOT if role == TARGETS else TARGETS)
    with refused(MetadataExpired, role=role, version=version, expires=written(NOW), at=written(NOW)):
        trusted.update_targets(scene.forger.raw(role), role, delegator)
    owner = loaded(scene, TARGETS, unsafe_accept_expired_offline_roles=True)
    assert owner.update_targets(scene.forger.raw(role), role, delegator).version == version
    assert role not in owner.fresh_hashes()


def test_a_role_whose_delegator_is_not_loaded(wire: WireFormat) -> None:
    scene = good_collection(wire)
    trusted = loaded(scene, TARGETS)
    with pytest.raises(RuntimeError, match="targets/bob must be loaded before"):
        trusted.update_targets(scene.forger.raw(ALICE), ALICE, BOB)
    with refused(MetadataMissing, "root does not delegate to it", role=ALICE):
        trusted.update_targets(scene.forger.raw(ALICE), ALICE)
    assert not trusted.is_verified_for(ALICE, TARGETS)
    trusted.update_targets(scene.forger.raw(ALICE), ALICE, TARGETS)
    assert [trusted.is_verified_for(ALICE, name) for name in (TARGETS, ROOT)] == [True, False]
    assert trusted.targets is trusted.delegated[TARGETS]


# --- what is known then


def test_what_is_known(wire: WireFormat) -> None:
    scene = good_collection(wire)
    stored = scene.server.stored
    trusted = begun(scene)
    assert trusted.versions() == {ROOT: 2}
    assert trusted.listed() == frozenset()
    assert trusted.fresh_hashes() == {ROOT: stored[ROOT].sha256}
    for role in STEPS:
        step(trusted, scene, role)
    loaded_roles = {ROOT, TIMESTAMP, SNAPSHOT, TARGETS, RELEASES}
    versions = {role: file.version for role, file in stored.items()}
    assert trusted.versions() == {r: v for r, v in versions.items() if wire is TUF or r in loaded_roles}
    assert trusted.listed() == {TARGETS, RELEASES, ALICE} | (set() if wire is TUF else {ROOT})
    assert trusted.fresh_hashes() == {role: stored[role].sha256 for role in (ROOT, TARGETS, RELEASES)}
    assert [trusted.published(role) for role in (TARGETS, ALICE, BOB)] == [True, True, False]


def test_a_role_that_was_published_and_is_not_listed() -> None:
    """In TUF 1.0 the snapshot itself would be refused."""
    scene = good_collection(NOTARY)
    trusted = loaded(scene, SNAPSHOT, memory=seen(scene, {BOB: 1, "targets": 4}))
    assert trusted.published(TARGETS)
    assert not trusted.published(RoleName("targets/carol"))
    with refused(VersionRollback, role=BOB, offered=0, known=1, source="seen before"):
        trusted.published(BOB)


@pytest.mark.parametrize("role", [ROOT, TARGETS, RELEASES])
def test_hashes_of_what_has_not_expired_below_what_has_not(wire: WireFormat, role: RoleName) -> None:
    scene = good_collection(wire)
    scene.forger.alter(role, lambda d: d.update(version=d["version"] + 1, expires=written(NOW + DAY)))
    trusted = loaded(scene, RELEASES)
    every = (ROOT, TARGETS, RELEASES)
    assert set(trusted.fresh_hashes()) == set(every)
    trusted.at = NOW + DAY
    assert set(trusted.fresh_hashes()) == set(every[: every.index(role)])
