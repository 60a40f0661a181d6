"""The statements of the record of changes.

The row of the head is changed first, and with it the writer of an event keeps all others waiting until its transaction
ends: numbers are in the order of the commits, and a transaction that fails takes its number with it. SQLite has one
writer at a time anyway.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from trustdata.gun import GUN
from trustserver.storage.events import Actor, EventKind, EventRange, NewEvent, Part, Person, StoredEvent, numbered
from trustserver.storage.instants import from_seconds, to_seconds
from trustserver.storage.tables import CollectionRow, EventHeadRow, EventPersonRow, EventRow, HookRow, table_of

_EVENT: Final = table_of(EventRow)
_PERSON: Final = table_of(EventPersonRow)
_HEAD: Final = table_of(EventHeadRow)
_COLLECTION: Final = table_of(CollectionRow)
_HOOK: Final = table_of(HookRow)

_NEXT: Final = update(_HEAD).values(newest=_HEAD.c.newest + 1).returning(_HEAD.c.newest)
_NEXT_OF_NAME: Final = (
    update(_COLLECTION)
    .where(_COLLECTION.c.gun == bindparam("of_gun"))
    .values(events=_COLLECTION.c.events + 1)
    .returning(_COLLECTION.c.events)
)
_ADD: Final = insert(_EVENT)
_ADD_PERSON: Final = insert(_PERSON)
_DROPPED: Final = 10_000
"""How many events one transaction deletes at most: others wait for it."""
_ERASED: Final = {
    column.name: update(_COLLECTION)
    .where(column.in_(bindparam("of_names", expanding=True)))
    .values({column.name: substitute})
    for column, substitute in (
        (_COLLECTION.c.created_by, ""),
        (_COLLECTION.c.published_by, ""),
        (_COLLECTION.c.deleted_by, "erased"),
    )
}
"""Where the database names subjects beside the record. A tombstone says that there was somebody."""
_PEOPLE: Final = select(_PERSON).where(_PERSON.c.number.in_(bindparam("of_numbers", expanding=True)))


def add_event(connection: Connection, event: NewEvent) -> int:
    """Add an event with the next numbers, in the transaction of the change. Return its number.

    The row of its name must be there.
    """
    number = int(connection.execute(_NEXT).scalar_one())
    name_number = None
    if event.gun is not None:
        name_number = int(connection.execute(_NEXT_OF_NAME, {"of_gun": event.gun}).scalar_one())
    stored = numbered(event, number=number, name_number=name_number)
    connection.execute(
        _ADD,
        {
            "number": number,
            "gun": stored.gun,
            "name_number": name_number,
            "at": to_seconds(stored.at),
            "kind": stored.kind,
            "body": stored.body,
        },
    )
    for person in stored.people:
        connection.execute(_ADD_PERSON, _person_values(number, person))
    return number


def _person_values(number: int, person: Person) -> dict[str, object]:
    actor = person.actor
    return {
        "number": number,
        "part": str(person.part),
        "subject": actor.subject,
        "kind": actor.kind,
        "address": actor.address,
        "client": actor.client,
        "salt": person.salt,
    }


def read_events(
    connection: Connection, gun: GUN | None, *, after: int, limit: int, since: datetime | None
) -> tuple[StoredEvent, ...]:
    """Return the first `limit` events after a number, of one name or of all; with `since`, only those not before it."""
    query = select(_EVENT).where(_EVENT.c.number > after).order_by(_EVENT.c.number).limit(limit)
    if gun is not None:
        query = query.where(_EVENT.c.gun == gun)
    if since is not None:
        query = query.where(_EVENT.c.at >= to_seconds(since))
    rows = connection.execute(query).all()
    people: dict[int, list[Person]] = defaultdict(list)
    for row in connection.execute(_PEOPLE, {"of_numbers": [row.number for row in rows]}) if rows else ():
        people[row.number].append(_person(row))
    return tuple(
        StoredEvent(
            number=row.number,
            name_number=row.name_number,
            gun=row.gun,
            kind=row.kind,
            at=from_seconds(row.at),
            body=row.body,
            people=tuple(sorted(people[row.number], key=_part, reverse=True)),
        )
        for row in rows
    )


def _part(person: Person) -> str:
    return person.part


def _person(row: Any) -> Person:
    actor = Actor(subject=row.subject, kind=row.kind, address=row.address, client=row.client)
    return Person(part=Part(row.part), actor=actor, salt=row.salt)


def read_ranges(connection: Connection) -> Iterator[EventRange]:
    """Yield which events there are: first in all, then of each name that has or had any."""
    kept = (func.count(), func.coalesce(func.min(_EVENT.c.number), 0), func.coalesce(func.max(_EVENT.c.number), 0))
    head = connection.execute(select(_HEAD)).one()
    of_all = _counted(connection.execute(select(*kept)).one())
    yield EventRange(gun="", **of_all, newest=head.newest, dropped=head.dropped)
    number = _EVENT.c.name_number
    kept = (func.count(number), func.coalesce(func.min(number), 0), func.coalesce(func.max(number), 0))
    of_names = (
        select(_COLLECTION.c.gun, _COLLECTION.c.events, *kept)
        .join(_EVENT, _EVENT.c.gun == _COLLECTION.c.gun, isouter=True)
        .group_by(_COLLECTION.c.gun, _COLLECTION.c.events)
        .having((_COLLECTION.c.events > 0) | (func.count(number) > 0))
    )
    for gun, events, *found in connection.execute(of_names):
        yield EventRange(gun=gun, **_counted(found), newest=events)


def _counted(found: Any) -> dict[str, int]:
    count, first, last = found
    return {"count": count, "first": first, "last": last}


def read_newest(connection: Connection) -> int:
    """Return the number of the newest event; 0 if there was none."""
    return int(connection.execute(select(_HEAD.c.newest)).scalar_one())


def read_hook_cursor(connection: Connection, name: str) -> int | None:
    """Return the number of the last event that a webhook has had; None if it is not known."""
    return connection.execute(select(_HOOK.c.told).where(_HOOK.c.name == name)).scalar()


def write_hook_cursor(connection: Connection, name: str, told: int) -> None:
    """Note which event a webhook has had last."""
    if not connection.execute(update(_HOOK).where(_HOOK.c.name == name).values(told=told)).rowcount:
        connection.execute(insert(_HOOK).values(name=name, told=told))


def erase_people(connection: Connection, subject: str, *, stored: str, by: Actor, at: datetime) -> int:
    """Erase a subject wherever the database names it, and record that. Return from how many events it was erased.

    `stored`: how it is named beside the record, in lists of collections and tombstones.
    """
    named = _PERSON.c.subject == subject
    erased = connection.execute(select(func.count(func.distinct(_PERSON.c.number))).where(named)).scalar_one()
    connection.execute(delete(_PERSON).where(named))
    others = sum(connection.execute(_ERASED[name], {"of_names": [subject, stored]}).rowcount for name in _ERASED)
    if erased or others:
        details = {"events": erased, "names": others}
        add_event(connection, NewEvent(kind=EventKind.ERASED, at=at, by=by, details=details))
    return int(erased)


def drop_events(connection: Connection, *, keep: int) -> int:
    """Delete the oldest events until the newest `keep` are left, _DROPPED at a time. Return how many were deleted."""
    head = connection.execute(select(_HEAD)).one()
    last = min(head.newest - keep, head.dropped + _DROPPED)
    if last <= head.dropped:
        return 0
    connection.execute(update(_HEAD).values(dropped=last))
    connection.execute(delete(_PERSON).where(_PERSON.c.number <= last))
    return connection.execute(delete(_EVENT).where(_EVENT.c.number <= last)).rowcount
