"""The statements that find the files that run out first: those of owners each once for the record, all for metrics."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from keys.rfc3339 import to_rfc3339
from trustdata.gun import GUN
from trustdata.roles import ONLINE, ROOT, TARGETS, RoleName
from trustserver.storage.event_rows import add_event
from trustserver.storage.events import SERVER, EventKind, NewEvent
from trustserver.storage.instants import from_seconds, to_seconds
from trustserver.storage.ports import RoleExpiry
from trustserver.storage.tables import CollectionRow, CurrentRow, FileRow, table_of

_COLLECTION: Final = table_of(CollectionRow)
_FILE: Final = table_of(FileRow)
_CURRENT: Final = table_of(CurrentRow)

OF_OWNERS: Final = (str(ROOT), str(TARGETS), "delegation")
"""The kinds of roles that the server cannot renew."""
_SOON: Final = (
    select(
        _CURRENT.c.collection_id,
        _CURRENT.c.role,
        _CURRENT.c.expires,
        _FILE.c.version,
        _COLLECTION.c.gun,
        _COLLECTION.c.format,
        _COLLECTION.c.revision,
    )
    .join(_FILE, _FILE.c.id == _CURRENT.c.file_id)
    .join(_COLLECTION, _COLLECTION.c.id == _CURRENT.c.collection_id)
    .where(
        _CURRENT.c.kind.in_(OF_OWNERS),
        _CURRENT.c.expires > bindparam("after"),
        _CURRENT.c.expires <= bindparam("until"),
        _CURRENT.c.expiry_told == 0,
    )
    .order_by(_CURRENT.c.expires, _COLLECTION.c.gun, _CURRENT.c.role)
    .limit(bindparam("most"))
)
_TOLD: Final = (
    update(_CURRENT)
    .where(_CURRENT.c.collection_id == bindparam("of_id"), _CURRENT.c.role == bindparam("of_role"))
    .values(expiry_told=1)
)
_FIRST_OF_KIND: Final = (
    select(_CURRENT.c.expires, _COLLECTION.c.gun, _CURRENT.c.role)
    .join(_COLLECTION, _COLLECTION.c.id == _CURRENT.c.collection_id)
    .where(_CURRENT.c.kind == bindparam("of_kind"))
    .order_by(_CURRENT.c.expires, _COLLECTION.c.gun, _CURRENT.c.role)
    .limit(bindparam("most"))
)


def read_first_expiries(connection: Connection, *, most: int) -> tuple[RoleExpiry, ...]:
    """Return the files that expire first, at most so many of owners and of the server (MetadataStore)."""
    found: list[RoleExpiry] = []
    for kinds in (OF_OWNERS, tuple(map(str, ONLINE))):
        # A query for each kind, since the index has them by kind and expiry.
        rows = [row for kind in kinds for row in connection.execute(_FIRST_OF_KIND, {"of_kind": kind, "most": most})]
        found += sorted(RoleExpiry(from_seconds(r.expires), GUN(r.gun), RoleName(r.role)) for r in rows)[:most]
    return tuple(sorted(found))


def any_expiring(connection: Connection, *, at: datetime, until: datetime) -> bool:
    """Return whether there is a file to tell of."""
    values = {"after": to_seconds(at), "until": to_seconds(until), "most": 1}
    return connection.execute(_SOON, values).first() is not None


def tell_expiring(connection: Connection, *, at: datetime, until: datetime, most: int) -> int:
    """Add an event for each file that has none yet, at most so many. Return how many."""
    rows = connection.execute(_SOON, {"after": to_seconds(at), "until": to_seconds(until), "most": most}).all()
    for row in rows:
        connection.execute(_TOLD, {"of_id": row.collection_id, "of_role": row.role})
        details = {
            "format": row.format,
            "revision": row.revision,
            "role": row.role,
            "role_version": row.version,
            "expires": to_rfc3339(from_seconds(row.expires)),
        }
        gun = GUN(row.gun)
        add_event(connection, NewEvent(kind=EventKind.EXPIRING, at=at, by=SERVER, gun=gun, details=details))
    return len(rows)
