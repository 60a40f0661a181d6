"""What every MetadataStore promises (trustserver/storage/ports.py)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Barrier, Thread
from typing import Any

import pytest

from tests.support.store_values import APP, AT, OTHER, file, publication, tombstone
from trustdata.gun import GUN
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustserver.errors import RevisionMoved
from trustserver.storage.ports import (
    Category,
    ClockRecord,
    FeedRecord,
    KeyRecord,
    KeyState,
    MetadataStore,
    OfferSalt,
    Publication,
    Status,
)


def key(role: RoleName, keyid: str, state: KeyState, *, gun: GUN = APP, created: datetime = AT) -> KeyRecord:
    return KeyRecord(gun=gun, role=role, keyid=keyid, public="{}", sealed=b"s", state=state, created=created)


def test_what_takes_writes_says_so(store: MetadataStore) -> None:
    store.ping()
    store.probe()
    assert store.refusal() is None


def begin(store: MetadataStore) -> None:
    """A collection at revision 1 with current keys `s` and `t`."""
    used = (key(SNAPSHOT, "s", KeyState.CURRENT), key(TIMESTAMP, "t", KeyState.CURRENT))
    assert store.publish(publication(1, imported_keys=used)) == 1


def held(store: MetadataStore, gun: GUN = APP) -> set[tuple[str, str, str]]:
    return {(k.role, k.keyid, k.state.value) for k in store.load(gun).keys}


def test_a_name_never_seen_is_absent_at_revision_0(store: MetadataStore) -> None:
    state = store.load(APP)
    assert (state.status, state.revision, dict(state.files), state.keys) == (Status.ABSENT, 0, {}, ())
    assert store.current(APP, ROOT) is None
    assert store.file(APP, ROOT, 1) is None


def test_what_is_published_is_read_back_byte_for_byte(store: MetadataStore) -> None:
    begin(store)
    state = store.load(APP)
    assert (state.status, state.revision, state.format) == (Status.LIVE, 1, "tuf-1.0")
    assert state.files == {role: file(role, 1) for role in (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)}
    assert store.current(APP, TARGETS) == store.file(APP, TARGETS, 1) == file(TARGETS, 1)
    assert store.load(OTHER).status is Status.ABSENT


def test_older_versions_stay_but_of_the_timestamp_only_the_newest(store: MetadataStore) -> None:
    begin(store)
    store.publish(publication(2))
    assert store.current(APP, TARGETS) == file(TARGETS, 2)
    assert store.file(APP, TARGETS, 1) == file(TARGETS, 1)
    assert store.file(APP, TIMESTAMP, 1) is None
    assert store.file(APP, TIMESTAMP, 2) == file(TIMESTAMP, 2)


def test_roles_that_are_not_in_a_publication_keep_their_files(store: MetadataStore) -> None:
    begin(store)
    store.publish(publication(2, files=(file(SNAPSHOT, 2), file(TIMESTAMP, 2))))
    assert {role: f.version for role, f in store.load(APP).files.items()} == {
        ROOT: 1,
        TARGETS: 1,
        SNAPSHOT: 2,
        TIMESTAMP: 2,
    }


@pytest.mark.parametrize("base", [0, 2, 7])
def test_another_base_than_the_stored_revision_changes_nothing(store: MetadataStore, base: int) -> None:
    begin(store)
    before = store.load(APP)
    with pytest.raises(RevisionMoved):
        store.publish(publication(2, base=base))
    with pytest.raises(RevisionMoved):
        store.delete(APP, base=base, tombstone=tombstone())
    with pytest.raises(RevisionMoved):
        store.add_pending(key(SNAPSHOT, "new", KeyState.PENDING), base=base)
    assert store.load(APP) == before
    assert store.file(APP, TARGETS, 2) is None


def test_a_version_that_is_stored_already_is_never_replaced_and_nothing_else_is_stored(store: MetadataStore) -> None:
    begin(store)
    with pytest.raises(RevisionMoved):
        store.publish(publication(2, files=(file(SNAPSHOT, 2), file(TARGETS, 1, content="other"))))
    assert store.file(APP, TARGETS, 1) == file(TARGETS, 1)
    assert store.file(APP, SNAPSHOT, 2) is None
    assert store.load(APP).revision == 1


def test_of_many_writers_at_one_revision_exactly_one_wins(store: MetadataStore) -> None:
    begin(store)
    writers = 8
    barrier = Barrier(writers)
    outcomes: list[str] = []

    def write(number: int) -> None:
        barrier.wait()
        files = (file(TARGETS, 2, content=str(number)), file(TIMESTAMP, 2, content=str(number)))
        try:
            store.publish(publication(2, files=files))
            outcomes.append(f"won {number}")
        except RevisionMoved:
            outcomes.append("lost")

    threads = [Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [outcome for outcome in outcomes if outcome != "lost"]
    assert len(outcomes) == writers
    assert len(won) == 1
    winner = won[0].split()[1]
    state = store.load(APP)
    assert {state.files[role].raw.decode().split()[-1] for role in (TARGETS, TIMESTAMP)} == {winner}


def test_salts_are_kept_until_others_take_their_place(store: MetadataStore) -> None:
    assert store.offer_salts() == ()
    old, new = (OfferSalt(created=AT + timedelta(hours=hours), salt=bytes([hours])) for hours in (1, 25))
    store.replace_offer_salts([new, old])
    assert store.offer_salts() == (new, old)
    store.replace_offer_salts([new])
    assert store.offer_salts() == (new,)


def test_a_publish_with_a_key_that_was_dropped_changes_nothing(store: MetadataStore) -> None:
    with pytest.raises(RevisionMoved):
        store.publish(publication(1, promoted_keys=(key(SNAPSHOT, "gone", KeyState.OFFERED),)))
    assert store.load(APP).status is Status.ABSENT
    assert store.collections() == ()


def test_a_pending_key_replaces_the_pending_one_and_moves_the_revision(store: MetadataStore) -> None:
    begin(store)
    assert store.add_pending(key(SNAPSHOT, "p1", KeyState.PENDING), base=1) == 2
    assert store.add_pending(key(SNAPSHOT, "p2", KeyState.PENDING), base=2) == 3
    assert held(store) == {("snapshot", "s", "current"), ("snapshot", "p2", "pending"), ("timestamp", "t", "current")}
    assert store.load(APP).revision == 3


def test_the_publish_that_uses_a_pending_key_destroys_the_old_one(store: MetadataStore) -> None:
    begin(store)
    pending = key(SNAPSHOT, "p", KeyState.PENDING)
    store.add_pending(pending, base=1)
    store.publish(publication(3, promoted_keys=(pending,)))
    assert held(store) == {("snapshot", "p", "current"), ("timestamp", "t", "current")}


def test_deleting_leaves_a_tombstone_and_nothing_else(store: MetadataStore) -> None:
    begin(store)
    assert store.delete(APP, base=1, tombstone=tombstone()) == 2
    state = store.load(APP)
    assert (state.status, state.revision, dict(state.files), state.keys) == (Status.DELETED, 2, {}, ())
    assert state.tombstone == tombstone()
    assert store.file(APP, ROOT, 1) is None
    assert store.current(APP, ROOT) is None
    assert store.due(at=AT + timedelta(days=999), limit=9) == ()
    assert store.earliest_expiries() == {}
    assert store.waiting_keys() == ()


def test_over_a_tombstone_nothing_begins_until_it_is_released(store: MetadataStore) -> None:
    begin(store)
    store.delete(APP, base=1, tombstone=tombstone())
    with pytest.raises(RevisionMoved):
        store.publish(publication(1, base=2))
    assert store.release(APP)
    assert not store.release(APP)
    assert not store.release(OTHER)
    state = store.load(APP)
    assert (state.status, state.revision) == (Status.RELEASED, 3)
    assert store.publish(publication(1, base=3)) == 4
    begun = store.load(APP)
    assert (begun.status, begun.tombstone) == (Status.LIVE, None)


def test_what_is_due_comes_longest_due_first_and_bounded(store: MetadataStore) -> None:
    for number, gun in enumerate((OTHER, APP)):
        store.publish(publication(1, gun=gun, renew_at=AT - timedelta(hours=number)))
    assert store.due(at=AT - timedelta(hours=2), limit=9) == ()
    assert store.due(at=AT - timedelta(minutes=1), limit=9) == (APP,)
    assert store.due(at=AT, limit=9) == (APP, OTHER)
    assert store.due(at=AT, limit=1) == (APP,)
    store.publish(publication(2, renew_at=AT + timedelta(days=1)))
    assert store.due(at=AT, limit=9) == (OTHER,)


def test_what_outlives_its_bound_is_found_by_format_role_and_holder(store: MetadataStore) -> None:
    """Only where the server holds the key: nobody else's file is its to sign."""
    expires = AT + timedelta(days=3)
    held = tuple(key(role, f"{role} of {OTHER}", KeyState.CURRENT, gun=OTHER) for role in (SNAPSHOT, TIMESTAMP))
    store.publish(publication(1, gun=OTHER, imported_keys=held))
    store.publish(publication(1, imported_keys=(key(TIMESTAMP, f"{TIMESTAMP} of {APP}", KeyState.CURRENT),)))
    earlier = expires - timedelta(seconds=1)
    assert store.outliving({"tuf-1.0": {TIMESTAMP: earlier, SNAPSHOT: earlier}}, limit=9) == (APP, OTHER)
    assert store.outliving({"tuf-1.0": {TIMESTAMP: earlier}}, limit=1) == (APP,)
    assert store.outliving({"tuf-1.0": {SNAPSHOT: earlier}}, limit=9) == (OTHER,)
    assert store.outliving({"tuf-1.0": {TIMESTAMP: expires, SNAPSHOT: expires}}, limit=9) == ()
    assert store.outliving({"notary-v1": {TIMESTAMP: earlier}}, limit=9) == ()
    store.publish(publication(2, gun=OTHER, files=(file(TIMESTAMP, 2, expires=AT),)))
    assert store.outliving({"tuf-1.0": {TIMESTAMP: earlier}}, limit=9) == (APP,), "current files count"
    store.delete(APP, base=1, tombstone=tombstone())
    assert store.outliving({"tuf-1.0": {TIMESTAMP: earlier}}, limit=9) == ()


def test_rounds_and_the_acceptance_of_the_clock_are_kept(store: MetadataStore) -> None:
    assert store.clock_record() == ClockRecord()
    store.record_round(AT + timedelta(microseconds=5))
    assert store.clock_record() == ClockRecord(last_round=AT)
    later, latest = AT + timedelta(days=1), AT + timedelta(days=2)
    store.accept_clock(later)
    assert store.clock_record() == ClockRecord(last_round=later, accepted=later)
    store.record_round(latest)
    assert store.clock_record() == ClockRecord(last_round=latest, accepted=later)
    store.record_round(AT)
    assert store.clock_record().last_round == AT, "a clock may also go back"


def test_expiries_are_of_current_files_only(store: MetadataStore) -> None:
    alice = RoleName("targets/alice")
    store.publish(publication(1, files=(file(ROOT, 1, expires=AT), file(alice, 1, expires=AT))))
    store.publish(publication(1, gun=OTHER, files=(file(alice, 1, expires=AT - timedelta(days=1)),)))
    store.publish(publication(2, files=(file(ROOT, 2, expires=AT + timedelta(days=5)),)))
    assert store.earliest_expiries() == {"root": AT + timedelta(days=5), "delegation": AT - timedelta(days=1)}


def test_what_expires_first_is_named_of_owners_and_of_the_server(store: MetadataStore) -> None:
    """The server's own roles expire every few days: they must leave room for those of the owners."""
    alice = RoleName("targets/alice")
    days = {ROOT: 9, TARGETS: 5, alice: 5, SNAPSHOT: 2, TIMESTAMP: 1}
    files = tuple(file(role, 1, expires=AT + timedelta(days=number)) for role, number in days.items())
    store.publish(publication(1, gun=OTHER, files=files))
    store.publish(publication(1, files=(file(ROOT, 1, expires=AT), file(TIMESTAMP, 1, expires=AT + timedelta(days=1)))))
    store.publish(publication(2, files=(file(ROOT, 2, expires=AT + timedelta(days=5)),)))

    def named(most: int) -> list[tuple[str, str, int]]:
        return [(each.gun, each.role, (each.expires - AT).days) for each in store.first_expiries(most=most)]

    online = [(APP, TIMESTAMP, 1), (OTHER, TIMESTAMP, 1), (OTHER, SNAPSHOT, 2)]
    owners = [(APP, ROOT, 5), (OTHER, TARGETS, 5), (OTHER, alice, 5), (OTHER, ROOT, 9)]
    assert named(9) == [*online, *owners], "superseded files do not count"
    assert named(2) == [*online[:2], *owners[:2]]
    assert named(0) == []
    store.delete(OTHER, base=1, tombstone=tombstone())
    assert named(9) == [online[0], owners[0]]


def test_the_listing_names_data_and_tombstones(store: MetadataStore) -> None:
    store.publish(publication(1, gun=OTHER))
    begin(store)
    store.delete(APP, base=1, tombstone=tombstone())
    listed = [(entry.gun, entry.status, entry.revision, entry.tombstone) for entry in store.collections()]
    assert listed == [(APP, Status.DELETED, 2, tombstone()), (OTHER, Status.LIVE, 1, None)]


def test_the_listing_comes_in_parts(store: MetadataStore) -> None:
    store.publish(publication(1, gun=OTHER))
    begin(store)
    (first,) = store.collections(limit=1)
    (second,) = store.collections(after=first.gun, limit=1)
    assert (first.gun, second.gun) == (APP, OTHER)
    assert store.collections(after=second.gun) == ()


def test_many_names_are_loaded_as_each_alone(store: MetadataStore) -> None:
    begin(store)
    store.publish(publication(1, gun=OTHER))
    store.delete(OTHER, base=1, tombstone=tombstone())
    names = (OTHER, GUN("registry.example.com/absent"), APP)
    assert store.load_many(names) == tuple(map(store.load, names))
    assert store.load_many(()) == ()


def test_the_seal_mark_is_kept(store: MetadataStore) -> None:
    assert store.seal_mark() == ""
    store.set_seal_mark("one")
    store.set_seal_mark("two")
    assert store.seal_mark() == "two"
    store.ping()


def noted(changes: Iterable[FeedRecord]) -> list[tuple[str, int, str]]:
    return [(change.gun, change.version, change.category.value) for change in changes]


def in_feed(version: int, **changes: Any) -> Publication:
    """A publication of the change feed, stored a little later with each version."""
    values = publication(version, in_feed=True, **changes)
    at = AT + timedelta(hours=version, microseconds=123_456)
    return replace(values, files=tuple(replace(f, stored_at=at) for f in values.files))


def test_the_feed_has_a_record_of_each_timestamp_that_is_in_it(store: MetadataStore) -> None:
    store.publish(publication(1, gun=OTHER))
    store.publish(in_feed(1))
    store.publish(in_feed(2))
    first, second = store.changes(None, after=0, limit=10)
    assert first == FeedRecord(
        id=first.id,
        created=AT + timedelta(hours=1, microseconds=123_456),
        gun=APP,
        version=1,
        sha256=file(TIMESTAMP, 1).sha256,
        category=Category.UPDATE,
    )
    assert (second.version, second.id > first.id > 0) == (2, True)


def test_the_feed_is_read_forwards_and_backwards_from_an_id(store: MetadataStore) -> None:
    for version in (1, 2, 3):
        store.publish(in_feed(version))
        store.publish(in_feed(version, gun=OTHER))
    ids = [change.id for change in store.changes(None, after=0, limit=10)]
    assert ids == sorted(ids)
    assert len(ids) == 6
    assert noted(store.changes(APP, after=0, limit=2)) == [(APP, 1, "update"), (APP, 2, "update")]
    assert noted(store.changes(APP, after=ids[2], limit=9)) == [(APP, 3, "update")]
    assert noted(store.changes_before(OTHER, before=None, limit=2)) == [(OTHER, 2, "update"), (OTHER, 3, "update")]
    assert [c.id for c in store.changes_before(None, before=ids[3], limit=2)] == ids[1:3]
    assert [c.id for c in store.changes_before(None, before=ids[1], limit=9)] == ids[:1]
    assert store.changes(None, after=ids[-1], limit=9) == store.changes_before(None, before=ids[0], limit=9) == ()


def test_a_released_deletion_frees_the_name_and_is_in_the_feed(store: MetadataStore) -> None:
    store.publish(in_feed(1))
    assert store.delete(APP, base=1, tombstone=tombstone(), frees_name=True) == 2
    state = store.load(APP)
    assert (state.status, state.tombstone, dict(state.files)) == (Status.RELEASED, tombstone(), {})
    last = store.changes_before(None, before=None, limit=1)[0]
    assert (last.version, last.sha256, last.category, last.created) == (0, "", Category.DELETION, AT)
    store.publish(in_feed(1, base=2))
    assert store.load(APP).status is Status.LIVE


def test_a_deletion_that_is_not_released_is_not_in_the_feed(store: MetadataStore) -> None:
    store.publish(publication(1))
    store.delete(APP, base=1, tombstone=tombstone())
    assert store.changes(None, after=0, limit=10) == ()


def test_a_publication_that_loses_leaves_no_record(store: MetadataStore) -> None:
    store.publish(in_feed(1))
    with pytest.raises(RevisionMoved):
        store.publish(in_feed(2, base=7))
    assert len(store.changes(None, after=0, limit=10)) == 1


def test_older_timestamps_that_are_in_the_feed_stay_readable(store: MetadataStore) -> None:
    store.publish(in_feed(1))
    store.publish(in_feed(2))
    old = store.file(APP, TIMESTAMP, 1)
    assert old is not None
    assert old == store.file_by_hash(APP, TIMESTAMP, old.sha256)
    assert old.stored_at is not None
    assert old.stored_at.replace(microsecond=0) == AT + timedelta(hours=1)


def test_a_file_is_found_by_its_hash_under_its_own_role_alone(store: MetadataStore) -> None:
    begin(store)
    store.publish(publication(2))
    one = file(TARGETS, 1)
    assert store.file_by_hash(APP, TARGETS, one.sha256) == one
    assert store.file_by_hash(APP, ROOT, one.sha256) is None
    assert store.file_by_hash(OTHER, TARGETS, one.sha256) is None
    assert store.file_by_hash(APP, TARGETS, one.sha256.upper()) is None


def test_files_are_looked_up_in_collections_of_one_format_if_that_is_asked(store: MetadataStore) -> None:
    begin(store)
    one = file(TARGETS, 1)
    for wire, found in (("tuf-1.0", one), ("notary-v1", None), ("", one)):
        assert store.current(APP, TARGETS, wire=wire) == found
        assert store.file(APP, TARGETS, 1, wire=wire) == found
        assert store.file_by_hash(APP, TARGETS, one.sha256, wire=wire) == found


def test_a_live_collection_says_when_it_is_to_be_renewed(store: MetadataStore) -> None:
    assert store.load(APP).renew_at is None
    store.publish(publication(1, renew_at=AT + timedelta(days=1)))
    assert store.load(APP).renew_at == AT + timedelta(days=1)
    assert store.current_timestamp(APP) == (store.current(APP, TIMESTAMP), AT + timedelta(days=1))
    assert store.current_timestamp(APP, wire="notary-v1") is None
    store.delete(APP, base=1, tombstone=tombstone())
    assert store.load(APP).renew_at is None
    assert store.current_timestamp(APP) is None


def test_versions_are_known_without_their_files(store: MetadataStore) -> None:
    begin(store)
    store.publish(publication(2, files=(file(TARGETS, 2), file(TIMESTAMP, 2))))
    known = {(v.role, v.version): (v.size, v.stored_at, v.is_current) for v in store.versions(APP)}
    old, new = file(TARGETS, 1), file(TARGETS, 2)
    assert known[(TARGETS, 1)] == (len(old.raw), old.stored_at, False)
    assert known[(TARGETS, 2)] == (len(new.raw), new.stored_at, True)
    assert (TIMESTAMP, 1) not in known
    assert store.versions(OTHER) == ()
    current = [file(ROOT, 1), file(SNAPSHOT, 1), new, file(TIMESTAMP, 2)]
    assert store.size(APP) == sum(len(each.raw) for each in current)
    assert store.size(OTHER) == 0


def test_neither_roots_nor_current_versions_are_dropped(store: MetadataStore) -> None:
    begin(store)
    store.publish(publication(2))
    everything = [(v.role, v.version) for v in store.versions(APP)]
    store.drop_versions(APP, [*everything, (TARGETS, 99)])
    left = {(v.role, v.version) for v in store.versions(APP)}
    assert left == {(ROOT, 1), (ROOT, 2), (TARGETS, 2), (SNAPSHOT, 2), (TIMESTAMP, 2)}
    assert store.load(APP).files == {role: file(role, 2) for role in (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)}
    store.drop_versions(APP, [])


def test_what_is_stored_takes_room_and_gives_it_back(store: MetadataStore) -> None:
    names, empty = store.room_taken()
    begin(store)
    store.publish(publication(2, files=(file(TARGETS, 2, content="x" * 100_000),)))
    more_names, full = store.room_taken()
    assert (names, more_names) == (0, 1)
    assert full >= empty + 90_000
    store.delete(APP, base=2, tombstone=tombstone())
    assert store.room_taken()[1] < full - 90_000


def test_the_standing_of_a_collection(store: MetadataStore) -> None:
    assert store.standing(APP) is None
    begin(store)
    store.add_pending(key(SNAPSHOT, "p", KeyState.PENDING), base=1)
    standing = store.standing(APP)
    assert standing is not None
    assert (standing.format, standing.revision, set(standing.held)) == ("tuf-1.0", 2, {SNAPSHOT, TIMESTAMP})
    assert standing.signed_at == file(TIMESTAMP, 1).stored_at
    store.delete(APP, base=2, tombstone=tombstone())
    assert store.standing(APP) is None


def test_names_in_use_are_counted(store: MetadataStore) -> None:
    begin(store)
    store.publish(publication(1, gun=OTHER, subject="alice"))
    store.publish(publication(2, gun=OTHER, subject="bob"))
    assert [store.count_names(subject=name) for name in ("alice", "bob")] == [(2, 1), (2, 0)]
    store.delete(OTHER, base=2, tombstone=tombstone())
    assert store.count_names(subject="alice") == (2, 1), "its name is still in use"


def test_old_records_of_one_collection_are_dropped_from_the_feed(store: MetadataStore) -> None:
    for version in (1, 2, 3):
        store.publish(in_feed(version))
    store.publish(in_feed(1, gun=OTHER))
    assert store.drop_changes(APP, keep=3) == 0
    assert store.drop_changes(APP, keep=1) == 2
    assert noted(store.changes(None, after=0, limit=9)) == [(APP, 3, "update"), (OTHER, 1, "update")]


def test_a_collection_is_loaded_without_the_files_that_nobody_needs(store: MetadataStore) -> None:
    begin(store)
    assert store.load(APP, only=()) == replace(whole := store.load(APP), files={})
    assert store.load(APP, only=(ROOT, RoleName("targets/nobody"))) == replace(whole, files={ROOT: whole.files[ROOT]})
    assert store.load(OTHER, only=(ROOT,)) == store.load(OTHER)
