"""What every MetadataStore promises of the record: numbers without gaps, and people who can be erased."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from threading import Barrier, Thread
from typing import Any

import pytest

from tests.support.store_values import APP, AT, OTHER, file, publication, tombstone
from trustdata.gun import GUN
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from trustserver.errors import RevisionMoved
from trustserver.storage.events import Actor, EventKind, EventRange, NewEvent, Part, StoredEvent, canonical
from trustserver.storage.ports import KeyRecord, KeyState, MetadataStore, Publication

ALICE = Actor(subject="token:alice", kind="token", address="192.0.2.7", client="trust/0.1")
BOB = Actor(subject="token:bob", kind="token")


def event(kind: EventKind = EventKind.PUBLISHED, gun: GUN | None = APP, **changes: Any) -> NewEvent:
    return replace(NewEvent(kind=kind, at=AT, by=ALICE, gun=gun), **changes)


def recorded(version: int, gun: GUN = APP, **changes: Any) -> Publication:
    return publication(version, gun=gun, event=event(gun=gun, **changes))


def every(store: MetadataStore, gun: GUN | None = None) -> tuple[StoredEvent, ...]:
    return store.events(gun, after=0, limit=1000)


def numbers(store: MetadataStore, gun: GUN | None = None) -> list[tuple[int, int | None, str]]:
    return [(each.number, each.name_number, each.kind) for each in every(store, gun)]


def pending(role: str = TIMESTAMP) -> KeyRecord:
    return KeyRecord(gun=APP, role=TIMESTAMP, keyid=role, public="{}", sealed=b"s", state=KeyState.PENDING, created=AT)


def test_each_change_has_the_next_number_in_all_and_in_its_name(store: MetadataStore) -> None:
    store.publish(recorded(1))
    store.publish(recorded(1, OTHER))
    store.publish(publication(2))
    store.record(event(EventKind.ACCESS, None, about=BOB))
    store.add_pending(pending(), base=2, event=event(EventKind.KEY_MADE))
    store.delete(APP, base=3, tombstone=tombstone(), event=event(EventKind.DELETED))
    assert store.release(APP, event=event(EventKind.RELEASED))
    store.publish(recorded(6))
    assert numbers(store) == [
        (1, 1, "published"),
        (2, 1, "published"),
        (3, None, "access"),
        (4, 2, "key-made"),
        (5, 3, "deleted"),
        (6, 4, "released"),
        (7, 5, "published"),
    ]
    assert [number for number, _, _ in numbers(store, APP)] == [1, 4, 5, 6, 7]
    assert store.event_ranges() == (
        EventRange(gun="", count=7, first=1, last=7, newest=7, dropped=0),
        EventRange(gun=APP, count=5, first=1, last=5, newest=5),
        EventRange(gun=OTHER, count=1, first=1, last=1, newest=1),
    )


def _moved_publish(store: MetadataStore) -> None:
    store.publish(recorded(9))


def _stored_version(store: MetadataStore) -> None:
    store.publish(replace(recorded(2), files=publication(1).files))


def _moved_key(store: MetadataStore) -> None:
    store.add_pending(pending(), base=9, event=event(EventKind.KEY_MADE))


def _moved_delete(store: MetadataStore) -> None:
    store.delete(APP, base=9, tombstone=tombstone(), event=event(EventKind.DELETED))


@pytest.mark.parametrize("change", [_moved_publish, _stored_version, _moved_key, _moved_delete])
def test_a_change_that_was_not_made_takes_no_number(
    store: MetadataStore, change: Callable[[MetadataStore], None]
) -> None:
    store.publish(recorded(1))
    with pytest.raises(RevisionMoved):
        change(store)
    assert not store.release(APP, event=event(EventKind.RELEASED)), "there is nothing to release"
    store.publish(recorded(2))
    assert numbers(store) == [(1, 1, "published"), (2, 2, "published")]


def test_numbers_of_two_servers_have_no_gaps(store: MetadataStore) -> None:
    together = Barrier(2)

    def server(number: int) -> None:
        together.wait()
        for each in range(20):
            store.publish(recorded(1, GUN(f"registry.example.com/s{number}/{each}")))

    servers = [Thread(target=server, args=(number,)) for number in range(2)]
    for each in servers:
        each.start()
    for each in servers:
        each.join()
    assert [number for number, _, _ in numbers(store)] == list(range(1, 41))


def test_an_event_is_stored_in_its_canonical_form_and_names_people_by_a_hash(store: MetadataStore) -> None:
    details = {"revision": 1, "tags": [{"tag": "é\n\U0001f600"}]}
    store.publish(recorded(1, details=details, about=BOB))
    (found,) = every(store)
    by, about = found.people
    assert (by.part, by.actor, about.part, about.actor) == (Part.BY, ALICE, Part.ABOUT, BOB)
    document = json.loads(found.body)
    people = document.pop("people")
    assert document == {
        "version": 1,
        "number": 1,
        "name_number": 1,
        "gun": APP,
        "kind": "published",
        "at": "2026-11-01T00:00:00Z",
        **details,
    }
    assert canonical({**document, "people": people}) == found.body
    assert (
        found.body
        == json.dumps(
            {**document, "people": people}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
        ).encode()
    )
    said = b'{"address":"192.0.2.7","client":"trust/0.1","kind":"token","subject":"token:alice"}'
    assert people == {
        "by": hmac.new(by.salt, said, sha256).hexdigest(),
        "about": about.actor.commitment(about.salt),
    }
    assert b"alice" not in found.body


def test_the_same_person_has_another_hash_in_each_event(store: MetadataStore) -> None:
    store.publish(recorded(1))
    store.publish(recorded(2))
    hashes = {json.loads(each.body)["people"]["by"] for each in every(store)}
    assert len(hashes) == 2, "who has been erased is not found again by those who were not"


def test_who_is_erased_is_named_nowhere_and_the_events_stay_as_they_are(store: MetadataStore) -> None:
    store.publish(replace(recorded(1), subject="alice"))
    store.publish(replace(recorded(1, OTHER, by=BOB), subject="bob"))
    store.record(event(EventKind.ACCESS, None, by=BOB, about=ALICE))
    store.delete(APP, base=1, tombstone=replace(tombstone(), subject="alice"), event=event(EventKind.DELETED))
    before = every(store)
    assert store.erase_people("token:alice", stored="alice", by=BOB, at=AT) == 3
    after = every(store)
    assert [each.body for each in after[:4]] == [each.body for each in before]
    assert [[(each.part.value, each.actor) for each in event.people] for event in after] == [
        [],
        [("by", BOB)],
        [("by", BOB)],
        [],
        [("by", BOB)],
    ]
    assert (after[-1].kind, json.loads(after[-1].body)["events"]) == ("erased", 3)
    app, other = store.overviews(limit=10)
    assert app.summary.tombstone is not None
    assert (app.summary.tombstone.subject, app.published_by, other.published_by) == ("erased", "", "bob")
    assert store.count_names(subject="alice") == (2, 0)
    assert store.erase_people("token:alice", stored="alice", by=BOB, at=AT) == 0
    assert len(every(store)) == 5, "and nothing is erased twice"


@pytest.mark.parametrize(("stored", "left"), [("alice", ""), ("token:alice", "alice")])
def test_another_subject_of_the_same_name_stays(store: MetadataStore, stored: str, left: str) -> None:
    store.publish(replace(recorded(1), subject="alice"))
    store.publish(replace(recorded(1, OTHER), subject="token:alice"))
    store.erase_people("token:alice", stored=stored, by=BOB, at=AT)
    assert [each.published_by for each in store.overviews(limit=10)] == [left, ""]


def test_events_are_read_in_pages_and_from_a_time_on(store: MetadataStore) -> None:
    for number in range(5):
        store.publish(recorded(1, GUN(f"registry.example.com/n{number}"), at=AT + timedelta(hours=number % 3)))
    assert [each.number for each in store.events(None, after=1, limit=2)] == [2, 3]
    assert [each.number for each in store.events(None, after=5, limit=2)] == []
    late = store.events(None, after=0, limit=9, since=AT + timedelta(hours=1))
    assert [each.number for each in late] == [2, 3, 5]


def test_the_oldest_events_are_dropped_and_numbers_go_on(store: MetadataStore) -> None:
    for version in range(1, 6):
        store.publish(recorded(version))
    assert store.drop_events(keep=9) == 0
    assert store.drop_events(keep=2) == 3
    store.publish(recorded(6))
    assert [each.number for each in every(store)] == [4, 5, 6]
    assert store.event_ranges() == (
        EventRange(gun="", count=3, first=4, last=6, newest=6, dropped=3),
        EventRange(gun=APP, count=3, first=4, last=6, newest=6),
    )


def test_files_of_owners_that_run_out_are_told_once_for_each_version(store: MetadataStore) -> None:
    late = AT + timedelta(days=40)
    files = (file(ROOT, 1, expires=late), *(file(role, 1) for role in (TARGETS, SNAPSHOT, TIMESTAMP)))
    store.publish(publication(1, files=files))
    store.publish(publication(1, gun=OTHER, files=(*files[:1], file(TARGETS, 1, expires=AT), *files[2:])))

    def told(days: int, limit: int = 9) -> int:
        return store.tell_expiring(at=AT, until=AT + timedelta(days=days), limit=limit)

    assert [told(2), told(3), told(3)] == [0, 1, 0]
    assert [told(40, limit=1), told(40), told(40)] == [1, 1, 0]
    documents = [json.loads(each.body) for each in every(store)]
    assert [(each["gun"], each["role"], each["role_version"], each["expires"][:10]) for each in documents] == [
        (APP, TARGETS, 1, "2026-11-04"),
        (APP, ROOT, 1, "2026-12-11"),
        (OTHER, ROOT, 1, "2026-12-11"),
    ]
    assert {person.actor.subject for each in every(store) for person in each.people} == {"server"}
    store.publish(publication(2, files=(file(TARGETS, 2), file(SNAPSHOT, 2), file(TIMESTAMP, 2))))
    assert [told(3), told(3)] == [1, 0], "of the next version it is told again"


def test_how_far_webhooks_have_been_told_is_kept(store: MetadataStore) -> None:
    assert (store.newest_event(), store.hook_cursor("ci")) == (0, None)
    store.publish(recorded(1))
    store.move_hook_cursor("ci", store.newest_event())
    store.move_hook_cursor("other", 0)
    store.move_hook_cursor("other", 7)
    assert (store.hook_cursor("ci"), store.hook_cursor("other")) == (1, 7)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("curl/8\x1b[31m\n", "curl/8\\x1b[31m\\n"),
        ("x" * 999, "x" * 200),
        ("\ud800\u202e", "\\ud800\\u202e"),
    ],
)
def test_what_clients_say_of_themselves_is_bounded_and_printable(store: MetadataStore, sent: str, kept: str) -> None:
    actor = Actor(subject="anonymous", kind="anonymous", client=sent)
    store.publish(recorded(1, by=actor))
    ((person,),) = [each.people for each in every(store)]
    assert person.actor.client == kept
    assert json.loads(every(store)[0].body)["people"]["by"] == person.actor.commitment(person.salt)
