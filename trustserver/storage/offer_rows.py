"""The statements for the salts from which keys are derived for names without data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from trustserver.storage.instants import from_seconds
from trustserver.storage.ports import OfferSalt
from trustserver.storage.tables import OfferSaltRow, table_of

_SALT: Final = table_of(OfferSaltRow)


def read_salts(connection: Connection) -> tuple[OfferSalt, ...]:
    """Return the stored salts, the newest first."""
    rows = connection.execute(select(_SALT).order_by(_SALT.c.created.desc(), _SALT.c.id.desc())).all()
    return tuple(OfferSalt(created=from_seconds(row.created), salt=row.salt) for row in rows)


def write_salts(connection: Connection, salts: Sequence[OfferSalt]) -> None:
    """Store these salts instead of those that are stored."""
    connection.execute(delete(_SALT))
    for each in sorted(salts, key=lambda salt: salt.created):
        connection.execute(insert(_SALT).values(created=int(each.created.timestamp()), salt=each.salt))
