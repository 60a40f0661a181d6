"""The statements that look at the stored versions of a collection without reading the files themselves."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, select

from trustdata.gun import GUN
from trustdata.roles import ROOT, TIMESTAMP, RoleName
from trustserver.storage.instants import from_optional_seconds
from trustserver.storage.ports import KeyState, Standing, StoredVersion
from trustserver.storage.tables import CollectionRow, CurrentRow, FileRow, OnlineKeyRow, table_of

_COLLECTION: Final = table_of(CollectionRow)
_FILE: Final = table_of(FileRow)
_CURRENT: Final = table_of(CurrentRow)
_KEY: Final = table_of(OnlineKeyRow)

_SIZE: Final = (
    select(func.coalesce(func.sum(func.length(_FILE.c.raw)), 0))
    .join(_CURRENT, _CURRENT.c.file_id == _FILE.c.id)
    .join(_COLLECTION, _COLLECTION.c.id == _CURRENT.c.collection_id)
    .where(_COLLECTION.c.gun == bindparam("gun"))
)
_TIMES: Final = (
    select(_FILE.c.id, _FILE.c.role, _FILE.c.version, _FILE.c.stored_at)
    .join(_COLLECTION, _COLLECTION.c.id == _FILE.c.collection_id)
    .where(_COLLECTION.c.gun == bindparam("gun"))
)
"""Asked alone, so that an index answers it. In a row the time stands behind the file, and SQLite reads all that is
before it: three hundred pages for 10 000 tags, for each version."""
_VERSIONS: Final = (
    select(
        _FILE.c.id,
        func.length(_FILE.c.raw).label("size"),
        _CURRENT.c.file_id.is_not(None).label("is_current"),
    )
    .join(_COLLECTION, _COLLECTION.c.id == _FILE.c.collection_id)
    .join(_CURRENT, _CURRENT.c.file_id == _FILE.c.id, isouter=True)
    .where(_COLLECTION.c.gun == bindparam("gun"))
)
_STANDING: Final = (
    select(_COLLECTION.c.format, _COLLECTION.c.revision, _FILE.c.stored_at)
    .join(_CURRENT, _CURRENT.c.collection_id == _COLLECTION.c.id)
    .join(_FILE, _FILE.c.id == _CURRENT.c.file_id)
    .where(_COLLECTION.c.gun == bindparam("gun"), _CURRENT.c.role == str(TIMESTAMP))
)


def read_size(connection: Connection, gun: GUN) -> int:
    """Return how many bytes the current files of a collection have."""
    return int(connection.execute(_SIZE, {"gun": gun}).scalar_one())


def read_standing(connection: Connection, gun: GUN) -> Standing | None:
    """Return what is known of a live collection without its files; None if there is none."""
    row = connection.execute(_STANDING, {"gun": gun}).one_or_none()
    if row is None:
        return None
    current = select(_KEY.c.role).where(_KEY.c.gun == gun, _KEY.c.state == KeyState.CURRENT)
    return Standing(
        format=row.format,
        revision=row.revision,
        signed_at=from_optional_seconds(row.stored_at),
        held=frozenset(RoleName(role) for role in connection.execute(current).scalars()),
    )


def read_versions(connection: Connection, gun: GUN) -> tuple[StoredVersion, ...]:
    """Return every stored version of every role of a collection."""
    times = {row.id: row for row in connection.execute(_TIMES, {"gun": gun})}
    return tuple(
        StoredVersion(
            role=RoleName((named := times[row.id]).role),
            version=named.version,
            size=row.size,
            stored_at=from_optional_seconds(named.stored_at),
            is_current=bool(row.is_current),
        )
        for row in connection.execute(_VERSIONS, {"gun": gun})
    )


def drop_versions(connection: Connection, gun: GUN, versions: Collection[tuple[RoleName, int]]) -> None:
    """Delete versions of roles, but never a root or a current version."""
    collection = connection.execute(select(_COLLECTION.c.id).where(_COLLECTION.c.gun == gun)).scalar()
    if collection is None or not versions:
        return
    dropping = delete(_FILE).where(
        _FILE.c.collection_id == collection,
        _FILE.c.role == bindparam("of"),
        _FILE.c.version == bindparam("at"),
        _FILE.c.role != str(ROOT),
        _FILE.c.id.not_in(select(_CURRENT.c.file_id).where(_CURRENT.c.collection_id == collection)),
    )
    connection.execute(dropping, [{"of": str(role), "at": version} for role, version in versions])


def read_bytes(connection: Connection) -> int:
    """Return how many bytes of the database file are in use."""
    pages, free, size = (
        int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def count_names(connection: Connection, *, subject: str) -> tuple[int, int]:
    """Return how many names have data or a tombstone: in all, and of those that this subject has begun."""
    own = select(func.count()).select_from(_COLLECTION).where(_COLLECTION.c.created_by == subject)
    return read_count(connection), int(connection.execute(own).scalar_one())


def read_count(connection: Connection) -> int:
    """Return how many names have data or a tombstone. Rows of names are never deleted, so it is the highest id."""
    return int(connection.execute(select(func.max(_COLLECTION.c.id))).scalar() or 0)
