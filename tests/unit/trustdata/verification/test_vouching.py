"""Who vouches for a stored file, and what is said of one for which nobody does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keys.record import replace
from tests.simulator.scene import GOOD, OLD, OTHER, Scene, good_collection
from tests.support.refusal import refused
from trustdata.envelope import Envelope
from trustdata.errors import ExpiredUnknown, MetadataMissing, NotVouchedFor, TrustError
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification.lock_entry import LockEntry, SourcedLock
from trustdata.verification.rollback_memory import Memory, OnlineKeys, SeenRole
from trustdata.verification.trust_pinning import Pin
from trustdata.verification.vouching import KnownFiles, find_unvouched, listed_digests

ALICE = RoleName("targets/alice")
NOTHING = "cd" * 32
FAULT = MetadataMissing(role=TARGETS, reason="a fault")
ABOVE = MetadataMissing(role=ROOT, reason="of the delegator")


def known(
    scene: Scene, *, seen: dict[RoleName, str] | None = None, root: str = NOTHING, targets: int = 0
) -> KnownFiles:
    """`seen`: hashes in rollback memory. `root`, `targets`: what the lock file has of them; none of both: no lock."""
    chain = [scene.server.stored[ROOT]]
    keys = OnlineKeys.of(chain[0].root)
    memory, lock = None, None
    if seen is not None:
        roles = {role: SeenRole(version=1, root_version=2, keys=keys, sha256=sha256) for role, sha256 in seen.items()}
        memory = Memory(root_of_trust=NOTHING, roles=roles)
    if targets or root != NOTHING:
        minimum = {TIMESTAMP: 1, SNAPSHOT: 1, TARGETS: targets, RELEASES: 3}
        entry = LockEntry(format="tuf-1.0", root_version=2, root=Pin("sha256", root), minimum=minimum)
        lock = SourcedLock(entry=entry, source="trust.lock")
    return KnownFiles(memory=memory, lock=lock, chain=chain)


def judge(
    file: Envelope,
    what: KnownFiles,
    *,
    fault: TrustError | None = None,
    delegator: TrustError | None = None,
    beneath: Envelope | None = None,
    expired: bool = False,
) -> TrustError | None:
    at = file.expires if expired else file.expires - timedelta(seconds=1)
    return find_unvouched(file, fault=fault, delegator=delegator, known=what, beneath=beneath, at=at)


@pytest.mark.parametrize("role", [ROOT, TARGETS, RELEASES])
def test_what_was_verified_here_is_vouched_for_whatever_else_is_wrong(role: RoleName) -> None:
    scene = good_collection()
    file = scene.server.stored[role]
    wrong = {"fault": FAULT, "delegator": ABOVE}
    assert judge(file, known(scene, seen={role: file.sha256}), expired=True, **wrong) is None  # type: ignore[arg-type]
    for other in ({role: NOTHING}, {role: ""}, {SNAPSHOT: file.sha256}, None):
        assert type(judge(file, known(scene, seen=other), expired=True, **wrong)) is NotVouchedFor  # type: ignore[arg-type]


def test_what_was_seen_under_other_online_keys_counts_for_nothing_but_a_root() -> None:
    scene = good_collection()
    root, targets = scene.server.stored[ROOT], scene.server.stored[TARGETS]
    before = known(scene, seen={ROOT: root.sha256, TARGETS: targets.sha256})
    scene.owner.replace_online_key(SNAPSHOT)
    after = replace(before, chain=[root, scene.server.stored[ROOT]])
    assert [before.verified_before(file) for file in (root, targets)] == [True, True]
    assert [after.verified_before(file) for file in (root, targets)] == [True, False]
    back = replace(before, chain=[scene.server.stored[ROOT], root])
    assert back.verified_before(targets), "the last root counts"


def test_the_root_of_the_lock_file() -> None:
    scene = good_collection()
    root, targets = scene.server.stored[ROOT], scene.server.stored[TARGETS]
    assert known(scene, root=root.sha256).verified_before(root)
    assert known(scene, root=root.sha256, seen={ROOT: NOTHING}).verified_before(root)
    assert not known(scene, root=NOTHING, targets=4).verified_before(root)
    assert not known(scene, root=targets.sha256).verified_before(targets)


@pytest.mark.parametrize(
    ("role", "locked", "expected"), [(TARGETS, 4, True), (TARGETS, 3, False), (RELEASES, 4, False), (ROOT, 4, False)]
)
def test_the_versions_of_the_lock_file(role: RoleName, locked: int, expected: bool) -> None:  # noqa: FBT001
    scene = good_collection()
    file = scene.server.stored[role]
    assert known(scene, targets=locked).locked(file) is expected
    assert not known(scene).locked(file)
    answer = judge(file, known(scene, targets=locked), expired=True)
    assert (answer is None) is expected


def test_a_locked_version_under_other_online_keys_counts_for_nothing() -> None:
    scene = good_collection()
    file = scene.server.stored[TARGETS]
    before = known(scene, targets=4)
    scene.owner.replace_online_key(SNAPSHOT)
    assert not replace(before, chain=[*before.chain, scene.server.stored[ROOT]]).locked(file)


@pytest.mark.parametrize("targets", [0, 4])
def test_a_file_that_is_not_signed(targets: int) -> None:
    """The lock file does not help: it knows a version, and no bytes."""
    scene = good_collection()
    file, beneath = scene.server.stored[RELEASES], scene.server.stored[ALICE]
    answer = judge(file, known(scene, targets=targets), fault=FAULT, delegator=ABOVE, beneath=beneath)
    assert answer is not None
    with refused(
        NotVouchedFor,
        f"{FAULT}, and this machine has not verified these bytes before",
        role=RELEASES,
        version=3,
        sha256=file.sha256,
        tags={"1.0": f"sha256:{GOOD}", "2.0": f"sha256:{OTHER}"},
        exposed={"1.0": f"sha256:{GOOD}"},
    ):
        raise answer


def test_a_file_below_one_that_nobody_vouches_for() -> None:
    scene = good_collection()
    file = scene.server.stored[RELEASES]
    for expired in (True, False):
        assert judge(file, known(scene), delegator=ABOVE, expired=expired) is ABOVE


def test_a_signed_file_until_it_expires() -> None:
    scene = good_collection()
    file, beneath = scene.server.stored[RELEASES], scene.server.stored[ALICE]
    assert judge(file, known(scene)) is None
    answer = judge(file, known(scene), beneath=beneath, expired=True)
    assert answer is not None
    with refused(
        ExpiredUnknown,
        f"it expired on {file.expires:%F}, and this machine does not know it as the newest",
        role=RELEASES,
        version=3,
        sha256=file.sha256,
        tags={"1.0": f"sha256:{GOOD}", "2.0": f"sha256:{OTHER}"},
        exposed={"1.0": f"sha256:{GOOD}"},
    ):
        raise answer


def test_what_a_file_lists() -> None:
    scene = good_collection()
    assert listed_digests(None) == {}
    assert listed_digests(scene.server.stored[ROOT]) == {}
    tags = {
        "b": {"hashes": {"sha256": OLD}, "length": 1},
        "a": {"hashes": {"sha512": OLD * 2}, "length": 1},
    }
    listed = listed_digests(scene.forger.successor(TARGETS, lambda d: d.update(targets=tags)))
    assert list(listed.items()) == [("a", "sha256:"), ("b", f"sha256:{OLD}")]
