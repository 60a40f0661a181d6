"""The statements of the change feed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Select, delete, select
from sqlalchemy.engine import Row

from trustdata.gun import GUN
from trustserver.storage.ports import Category, FeedRecord
from trustserver.storage.tables import ChangeRow, table_of

EPOCH: Final = datetime.fromtimestamp(0, UTC)
MICROSECOND: Final = timedelta(microseconds=1)
_CHANGE: Final = table_of(ChangeRow)


def select_changes(gun: GUN | None) -> Select[Any]:
    """Return the query for the records of one collection, or of all."""
    every = select(_CHANGE)
    return every if gun is None else every.where(_CHANGE.c.gun == gun)


def feed_record(row: Row[Any]) -> FeedRecord:
    """Return the record that a row holds."""
    return FeedRecord(
        id=row.id,
        created=EPOCH + row.created * MICROSECOND,
        gun=GUN(row.gun),
        version=row.version,
        sha256=row.sha256,
        category=Category(row.category),
    )


def change_row(gun: GUN, created: datetime | None, *, version: int, sha256: str) -> dict[str, object]:
    """Return the values of a record: of a new timestamp or, if `sha256` is empty, of a deletion."""
    return {
        "created": ((created or EPOCH) - EPOCH) // MICROSECOND,
        "gun": gun,
        "version": version,
        "sha256": sha256,
        "category": Category.UPDATE if sha256 else Category.DELETION,
    }


def newest_surplus(connection: Connection, gun: GUN, *, keep: int) -> int | None:
    """Return the id of the newest record that is not among the newest `keep`; None if there are no more than those."""
    newest = select(_CHANGE.c.id).where(_CHANGE.c.gun == gun).order_by(_CHANGE.c.id.desc())
    return connection.execute(newest.offset(keep).limit(1)).scalar()


def drop_changes(connection: Connection, gun: GUN, *, last: int) -> int:
    """Delete the records of a collection up to the id `last`. Return how many there were."""
    return connection.execute(delete(_CHANGE).where(_CHANGE.c.gun == gun, _CHANGE.c.id <= last)).rowcount
