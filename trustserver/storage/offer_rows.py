"""The statements for the salts from which keys are derived for names without data."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from trustserver.storage.instants import from_seconds
from trustserver.storage.ports import OfferSalt
from trustserver.storage.tables import OFFER_SALT


def read_salts(connection: Connection) -> tuple[OfferSalt, ...]:
    """Return the stored salts, the newest first."""
    rows = connection.execute(select(OFFER_SALT).order_by(OFFER_SALT.c.created.desc(), OFFER_SALT.c.id.desc())).all()
    return tuple(OfferSalt(created=from_seconds(row.created), salt=row.salt) for row in rows)


def write_salts(connection: Connection, salts: Sequence[OfferSalt]) -> None:
    """Store these salts instead of those that are stored."""
    connection.execute(delete(OFFER_SALT))
    for each in sorted(salts, key=lambda salt: salt.created):
        connection.execute(insert(OFFER_SALT).values(created=int(each.created.timestamp()), salt=each.salt))
