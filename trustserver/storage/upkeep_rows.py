"""The statements of upkeep: what is recorded of the clock, and which files outlive a bound."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, select
from sqlalchemy.dialects.sqlite import insert as upsert

from trustdata.roles import RoleName
from trustserver.storage.instants import from_optional_seconds, from_seconds
from trustserver.storage.ports import ClockRecord, KeyState
from trustserver.storage.tables import CLOCK, COLLECTION, CURRENT, ONLINE_KEY


def read_clock(connection: Connection) -> ClockRecord:
    """Return what is recorded of the server's clock."""
    row = connection.execute(select(CLOCK)).one_or_none()
    if row is None:
        return ClockRecord()
    accepted = from_optional_seconds(row.accepted)
    return ClockRecord(last_round=from_seconds(row.last_round), accepted=accepted)


def write_clock(connection: Connection, at: datetime, *, accepted: bool) -> None:
    """Record a round of upkeep and, if `accepted`, that an operator accepted the clock."""
    values = {name: int(at.timestamp()) for name in ("last_round", *(("accepted",) if accepted else ()))}
    stored = upsert(CLOCK).values(id=1, **values)
    connection.execute(stored.on_conflict_do_update(index_elements=["id"], set_=values))


def select_outliving(wire: str, role: RoleName, bound: datetime) -> Select[Any]:
    """Return the query for the names, sorted, that have a file of a server-held role which expires after the bound."""
    held = select(ONLINE_KEY.c.id).where(
        ONLINE_KEY.c.gun == COLLECTION.c.gun, ONLINE_KEY.c.role == str(role), ONLINE_KEY.c.state == KeyState.CURRENT
    )
    return (
        select(COLLECTION.c.gun)
        .join(CURRENT, CURRENT.c.collection_id == COLLECTION.c.id)
        .where(
            CURRENT.c.kind == str(role),
            CURRENT.c.expires > int(bound.timestamp()),
            COLLECTION.c.format == wire,
            held.exists(),
        )
        .order_by(COLLECTION.c.gun)
    )
