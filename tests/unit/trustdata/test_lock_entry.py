"""The rules of a lock entry, on real root chains: what it asks for, what voids it, with whom it disagrees."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.record import replace
from tests.simulator.repository import APP, NOW
from tests.simulator.scene import Scene, good_collection
from tests.support.refusal import refused
from tests.support.strategies import MEMORIES
from trustdata.envelope import Envelope
from trustdata.errors import LockDisagrees, RootNotCertified, VersionRollback
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification.lock_entry import LockEntry, SourcedLock, check_lock, locked
from trustdata.verification.minimum_versions import lowest_accepted
from trustdata.verification.rollback_memory import Memory, OnlineKeys
from trustdata.verification.trust_pinning import AuthorityPin, Pin, SourcedPin, check_pins

ALICE = RoleName("targets/alice")
HERE = "trust.lock"


def entry_of(scene: Scene) -> LockEntry:
    return scene.newcomer().lock_entry()


def chain_of(scene: Scene) -> list[Envelope]:
    return list(scene.newcomer().collection().refresh().roots())


def pins(*found: Pin) -> list[SourcedPin]:
    return [SourcedPin(pin=pin, source=f"pin {number}") for number, pin in enumerate(found)]


def check(entry: LockEntry, known: Sequence[SourcedPin], chain: Sequence[Envelope]) -> None:
    check_lock(APP, SourcedLock(entry=entry, source=HERE), known, chain, at=NOW)


def test_what_is_locked() -> None:
    scene = good_collection()
    entry = entry_of(scene)
    root = scene.server.stored[ROOT]
    assert (entry.format, entry.root_version, entry.root) == ("tuf-1.0", 2, Pin("sha256", root.sha256))
    assert entry.minimum == {
        TIMESTAMP: 7,
        SNAPSHOT: 7,
        TARGETS: 4,
        RELEASES: 3,
        ALICE: 1,
    }
    assert locked(wire_format="tuf-1.0", root=root, versions={ROOT: 2, **entry.minimum}) == entry


# --- minimum versions


def test_minimum_versions_hold_under_the_locked_root_and_later_ones_with_the_same_online_keys() -> None:
    scene = good_collection()
    entry = entry_of(scene)
    asked = {ROOT: 2, **entry.minimum}
    assert entry.minimum_versions(chain_of(scene)) == asked
    scene.owner.renew(ROOT)
    assert entry.minimum_versions(chain_of(scene)) == asked


@pytest.mark.parametrize(
    ("rotated", "left"),
    [
        ([TIMESTAMP], {ROOT, TARGETS, RELEASES, ALICE}),
        ([SNAPSHOT], {ROOT}),
        ([TIMESTAMP, SNAPSHOT], {ROOT}),
    ],
)
def test_replaced_online_keys_void_what_was_seen_under_them(rotated: list[RoleName], left: set[RoleName]) -> None:
    scene = good_collection()
    entry = entry_of(scene)
    for role in rotated:
        scene.owner.replace_online_key(role)
    assert set(entry.minimum_versions(chain_of(scene))) == left
    assert set(entry_of(scene).minimum_versions(chain_of(scene))) == {ROOT, *entry.minimum}, (
        "what is locked now counts now"
    )


def test_keys_that_come_back_bring_nothing_back() -> None:
    """A root in between took the keys away; that a later one has them again vouches for nothing seen before."""
    scene = good_collection()
    entry = entry_of(scene)
    chain = chain_of(scene)
    gone = good_collection()
    gone.owner.replace_online_key(SNAPSHOT)
    (*_, without) = chain_of(gone)
    back = _numbered(chain[-1], without.version + 1)
    assert set(entry.minimum_versions([*chain, without, back])) == {ROOT}
    assert len(entry.minimum_versions([*chain, back])) > 1


def _numbered(root: Envelope, version: int) -> Envelope:
    content = deepcopy(root.content)
    content.version = version
    return dataclasses.replace(root, content=content)


def test_a_chain_that_ends_before_the_locked_root_gets_no_relief() -> None:
    scene = good_collection()
    entry = entry_of(scene)
    assert entry.minimum_versions(chain_of(scene)[:1]) == {ROOT: 2, **entry.minimum}
    assert entry.minimum_versions([_numbered(chain_of(scene)[1], 9)]) == {ROOT: 2, **entry.minimum}, (
        "nor one that begins after it"
    )


def test_the_locked_root_does_not_void_what_was_seen_under_it() -> None:
    """Not even one whose thresholds its keys cannot meet; only a later root does."""
    scene = good_collection()
    entry = entry_of(scene)
    (*_, locked_root) = chain_of(scene)
    content = deepcopy(locked_root.root)
    for role in (TIMESTAMP, SNAPSHOT):
        content.roles[role].threshold = 2
    poor = dataclasses.replace(locked_root, content=content)
    assert entry.minimum_versions([poor]) == {ROOT: 2, **entry.minimum}
    assert entry.minimum_versions([poor, _numbered(poor, 3)]) == {ROOT: 2}


@given(MEMORIES, st.dictionaries(st.sampled_from([TIMESTAMP, SNAPSHOT, TARGETS, RELEASES]), st.integers(1, 9)))
def test_neither_lock_nor_memory_lowers_the_other(memory: Memory, minimum: Mapping[RoleName, int]) -> None:
    chain = _CHAIN
    entry = LockEntry(format="tuf-1.0", root_version=1, root=Pin("sha256", chain[0].sha256), minimum=minimum)
    lock = SourcedLock(entry=entry, source=HERE)
    remembered = memory.minimum_versions(OnlineKeys.of(chain[-1].root))
    together = lowest_accepted(memory=memory, lock=lock, chain=chain)
    for each in (remembered, entry.minimum_versions(chain)):
        for role, version in each.items():
            assert together[role].version >= version
    assert set(together) == set(remembered) | set(entry.minimum_versions(chain))
    for role, floor in together.items():
        assert floor.source == ("seen before" if floor.version == remembered.get(role) else f"locked in {HERE}")
    assert lowest_accepted(memory=None, lock=None, chain=chain) == {}


_CHAIN = chain_of(good_collection())


# --- as a pin, and beside pins


def test_a_lock_on_the_chain_agrees_with_everybody_on_it() -> None:
    scene = good_collection()
    entry, chain = entry_of(scene), chain_of(scene)
    check(entry, [], chain)
    check(entry, pins(scene.pin), chain)
    scene.owner.renew(ROOT)
    check(entry, pins(scene.pin), chain_of(scene))


def test_another_root_than_the_pinned_chain_has() -> None:
    scene = good_collection()
    chain = chain_of(scene)
    other = replace(entry_of(scene), root=Pin("sha256", "ab" * 32))
    with pytest.raises(LockDisagrees) as caught:
        check(other, pins(scene.pin), chain)
    assert caught.value.details() == {
        "gun": APP,
        "lock": HERE,
        "root_version": 2,
        "locked": f"sha256:{'ab' * 32}",
        "known": f"sha256:{chain[1].sha256}",
        "known_by": "pin 0",
    }


def test_another_root_than_the_server_shows_where_nobody_else_knows() -> None:
    scene = good_collection()
    other = replace(entry_of(scene), root=Pin("sha256", "ab" * 32))
    chain = chain_of(scene)
    with pytest.raises(LockDisagrees, match=r"trust\.lock and the server disagree") as caught:
        check(other, [], chain)
    assert (caught.value.gun, caught.value.known, caught.value.known_by) == (APP, f"sha256:{chain[1].sha256}", "")
    with pytest.raises(LockDisagrees) as caught:  # of a chain without that version its first root is shown
        check(other, [], [_numbered(chain[0], 8), _numbered(chain[1], 9)])
    assert caught.value.known == f"sha256:{chain[0].sha256}"


def test_the_root_must_stand_at_its_version() -> None:
    scene = good_collection()
    chain = chain_of(scene)
    with pytest.raises(LockDisagrees):
        check(replace(entry_of(scene), root_version=1), [], chain)
    with pytest.raises(LockDisagrees):
        check(replace(entry_of(scene), root=Pin("sha256", chain[0].sha256)), [], chain)
    with pytest.raises(LockDisagrees):  # a chain that begins after the locked root says nothing for it
        check(entry_of(scene), [], [_numbered(chain[1], 9)])


def test_a_lock_that_the_chain_holds_against_a_pin_that_it_does_not() -> None:
    scene = good_collection()
    stranger = Pin("sha256", "cd" * 32)
    entry = entry_of(scene)
    with pytest.raises(LockDisagrees) as caught:
        check(entry, pins(stranger), chain_of(scene))
    assert caught.value.details() == {
        "gun": APP,
        "lock": HERE,
        "root_version": 2,
        "locked": str(entry.root),
        "known": str(stranger),
        "known_by": "pin 0",
    }


def test_a_ca_that_does_not_vouch_is_no_disagreement_with_the_lock() -> None:
    """It names no root: `check_pins` says why it does not vouch, such as that a certificate has ended."""
    scene = good_collection()
    authority, stranger = AuthorityPin.of("corp", ()), Pin("sha256", "cd" * 32)
    check(entry_of(scene), pins(authority), chain_of(scene))
    with pytest.raises(RootNotCertified):
        check_pins(APP, pins(authority), chain_of(scene), at=NOW)
    with pytest.raises(LockDisagrees) as caught:
        check(entry_of(scene), pins(authority, stranger), chain_of(scene))
    assert (caught.value.known, caught.value.known_by) == (str(stranger), "pin 1")


def test_where_neither_is_held_the_pin_is_what_is_wrong() -> None:
    scene = good_collection()
    other = replace(entry_of(scene), root=Pin("sha256", "ab" * 32))
    check(other, pins(Pin("sha256", "cd" * 32)), chain_of(scene))  # check_pins refuses
    check(replace(other, root_version=7), pins(Pin("sha256", "cd" * 32)), chain_of(scene))


@pytest.mark.parametrize("pinned", [True, False])
def test_a_chain_that_ends_before_the_locked_root_is_a_rollback(*, pinned: bool) -> None:
    scene = good_collection()
    with refused(VersionRollback, role=ROOT, offered=1, known=2, source="locked in trust.lock"):
        check(entry_of(scene), pins(scene.pin) if pinned else [], chain_of(scene)[:1])
