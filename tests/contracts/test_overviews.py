"""What every MetadataStore promises of the list that operators read: what is there, without its files."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tests.support.store_values import APP, AT, OTHER, file, publication, tombstone
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from trustserver.storage.ports import MetadataStore, Overview, Status


def only(store: MetadataStore) -> Overview:
    (found,) = store.overviews(limit=10)
    return found


def test_what_owners_published_and_who_it_was(store: MetadataStore) -> None:
    files = tuple(replace(file(role, 1), stored_at=AT) for role in (ROOT, TARGETS, SNAPSHOT, TIMESTAMP))
    store.publish(publication(1, files=files, subject="alice"))
    found = only(store)
    assert (found.summary.gun, found.summary.revision, found.published_by) == (APP, 1, "alice")
    assert found.published_at == AT
    renewed = replace(file(TIMESTAMP, 2), stored_at=AT + timedelta(days=1))
    store.publish(publication(2, files=(renewed,), subject=""))
    assert (only(store).published_at, only(store).published_by) == (AT, "alice")
    later = replace(file(TARGETS, 2), stored_at=AT + timedelta(days=2))
    store.publish(publication(3, files=(later, file(TIMESTAMP, 3)), subject="bob"))
    assert (only(store).published_at, only(store).published_by) == (AT + timedelta(days=2), "bob")


def test_how_many_tags_are_released(store: MetadataStore) -> None:
    listing = replace(file(TARGETS, 1), tags=3)
    store.publish(publication(1, files=(file(ROOT, 1), listing, file(TIMESTAMP, 1))))
    assert only(store).tags == 3
    moved = replace(file(TARGETS, 2), tags=0)
    releases = replace(file(RELEASES, 1), tags=4)
    store.publish(publication(2, files=(moved, releases, file(TIMESTAMP, 2))))
    assert only(store).tags == 4


def test_in_notary_v1_both_roles_release(store: MetadataStore) -> None:
    files = (file(ROOT, 1), replace(file(TARGETS, 1), tags=3), replace(file(RELEASES, 1), tags=4), file(TIMESTAMP, 1))
    store.publish(publication(1, files=files, format="notary-v1"))
    assert only(store).tags == 7


def test_bytes_of_all_versions_and_the_first_expiry(store: MetadataStore) -> None:
    first = publication(1)
    store.publish(first)
    second = replace(file(TARGETS, 2), expires=AT + timedelta(hours=1))
    store.publish(publication(2, files=(second,)))
    found = only(store)
    assert found.size == sum(len(each.raw) for each in (*first.files, second))
    assert (found.expires, found.expires_role) == (AT + timedelta(hours=1), TARGETS)
    assert (found.owner_expires, found.owner_expires_role) == (AT + timedelta(hours=1), TARGETS)


def test_what_the_server_renews_hides_nothing_that_owners_must(store: MetadataStore) -> None:
    soon = replace(file(TIMESTAMP, 1), expires=AT + timedelta(hours=1))
    later = replace(file(TARGETS, 1), expires=AT + timedelta(days=60))
    root = replace(file(ROOT, 1), expires=AT + timedelta(days=90))
    store.publish(publication(1, files=(root, later, soon)))
    assert only(store).expires_role == TIMESTAMP
    assert (only(store).owner_expires, only(store).owner_expires_role) == (AT + timedelta(days=60), TARGETS)


def test_pages_hold_every_name_once_in_order(store: MetadataStore) -> None:
    for gun in (OTHER, APP):
        store.publish(publication(1, gun=gun))
    store.delete(OTHER, base=1, tombstone=tombstone())
    (first,) = store.overviews(limit=1)
    (second,) = store.overviews(after=first.summary.gun, limit=1)
    assert [first.summary.gun, second.summary.gun] == [APP, OTHER]
    assert store.overviews(after=OTHER, limit=1) == ()
    assert second.summary.status is Status.DELETED
    assert (second.tags, second.size, second.expires) == (0, 0, None)
    assert second.summary.tombstone == tombstone()
