"""The statements of upkeep: what is recorded of the clock, and which files outlive a bound."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, select
from sqlalchemy.dialects.sqlite import insert as upsert

from trustdata.roles import RoleName
from trustserver.storage.instants import from_optional_seconds, from_seconds
from trustserver.storage.ports import ClockRecord, KeyState
from trustserver.storage.tables import ClockRow, CollectionRow, CurrentRow, OnlineKeyRow, table_of

_CLOCK: Final = table_of(ClockRow)
_COLLECTION: Final = table_of(CollectionRow)
_CURRENT: Final = table_of(CurrentRow)
_KEY: Final = table_of(OnlineKeyRow)


def read_clock(connection: Connection) -> ClockRecord:
    """Return what is recorded of the server's clock."""
    row = connection.execute(select(_CLOCK)).one_or_none()
    if row is None:
        return ClockRecord()
    accepted = from_optional_seconds(row.accepted)
    return ClockRecord(last_round=from_seconds(row.last_round), accepted=accepted)


def write_clock(connection: Connection, at: datetime, *, accepted: bool) -> None:
    """Record a round of upkeep and, if `accepted`, that an operator accepted the clock."""
    values = {name: int(at.timestamp()) for name in ("last_round", *(("accepted",) if accepted else ()))}
    stored = upsert(_CLOCK).values(id=1, **values)
    connection.execute(stored.on_conflict_do_update(index_elements=["id"], set_=values))


def select_outliving(wire: str, role: RoleName, bound: datetime) -> Select[Any]:
    """Return the query for the names, sorted, that have a file of a server-held role which expires after the bound."""
    held = select(_KEY.c.id).where(
        _KEY.c.gun == _COLLECTION.c.gun, _KEY.c.role == str(role), _KEY.c.state == KeyState.CURRENT
    )
    return (
        select(_COLLECTION.c.gun)
        .join(_CURRENT, _CURRENT.c.collection_id == _COLLECTION.c.id)
        .where(
            _CURRENT.c.kind == str(role),
            _CURRENT.c.expires > int(bound.timestamp()),
            _COLLECTION.c.format == wire,
            held.exists(),
        )
        .order_by(_COLLECTION.c.gun)
    )
