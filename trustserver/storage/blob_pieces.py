"""Read a piece of a stored file without the rest, by SQLite's incremental I/O on blobs (sqlite3_blob_open).

SQLite finds a piece by walking over the pages before it, which costs a millisecond for 5 MB; `substr` in a query would
copy all of them first.
"""

from __future__ import annotations

import sqlite3
from typing import Final, cast

from sqlalchemy import Connection, bindparam, select

from trustdata.gun import GUN
from trustdata.roles import RoleName
from trustserver.storage.tables import CollectionRow, FileRow, table_of

_COLLECTION: Final = table_of(CollectionRow)
_FILE: Final = table_of(FileRow)
_PLACE: Final = (
    select(_FILE.c.id)
    .join(_COLLECTION, _COLLECTION.c.id == _FILE.c.collection_id)
    .where(
        _COLLECTION.c.gun == bindparam("gun"),
        _FILE.c.role == bindparam("role"),
        _FILE.c.sha256 == bindparam("sha256"),
    )
)


def read_piece(
    connection: Connection, gun: GUN, role: RoleName, sha256: str, *, start: int, length: int
) -> bytes | None:
    """Return bytes of a file; None if it is not stored.

    The connection is in a transaction: a row's number may be another's in the next one. Raises: SQLAlchemyError,
    sqlite3.Error.
    """
    row = connection.execute(_PLACE, {"gun": gun, "role": role, "sha256": sha256}).scalar_one_or_none()
    if row is None:
        return None
    driver = cast("sqlite3.Connection", connection.connection.dbapi_connection)
    with driver.blobopen(_FILE.name, _FILE.c.raw.name, row, readonly=True) as blob:
        blob.seek(min(start, len(blob)))
        return blob.read(length)
