"""Hold the SQL statements of reads and publishes, made once: making one costs twice as much as running it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from trustdata.roles import RoleName
from trustserver.storage.ports import KeyState, Status
from trustserver.storage.tables import ChangeRow, CollectionRow, CurrentRow, FileRow, OnlineKeyRow, SealRow, table_of

_COLLECTION = table_of(CollectionRow)
_FILE = table_of(FileRow)
_CURRENT = table_of(CurrentRow)
_KEY = table_of(OnlineKeyRow)
_CHANGE = table_of(ChangeRow)
_SEAL = table_of(SealRow)

_FILE_COLUMNS = (_FILE.c.role, _FILE.c.version, _FILE.c.raw, _FILE.c.sha256, _FILE.c.expires, _FILE.c.stored_at)
_CURRENT_FILES = (
    select(*_FILE_COLUMNS)
    .join(_CURRENT, _CURRENT.c.file_id == _FILE.c.id)
    .join(_COLLECTION, _COLLECTION.c.id == _CURRENT.c.collection_id)
)
_ANY_FILE = select(*_FILE_COLUMNS).join(_COLLECTION, _COLLECTION.c.id == _FILE.c.collection_id)

# Reads.
_IN_COLLECTION = (
    _COLLECTION.c.gun == bindparam("of_gun"),
    or_(bindparam("of_format") == "", _COLLECTION.c.format == bindparam("of_format")),
)
VERSION = _ANY_FILE.where(
    *_IN_COLLECTION, _FILE.c.role == bindparam("of_role"), _FILE.c.version == bindparam("of_version")
)
BY_HASH = _ANY_FILE.where(*_IN_COLLECTION, _FILE.c.role == bindparam("of_role"), _FILE.c.sha256 == bindparam("of_hash"))
NEWEST = _CURRENT_FILES.where(*_IN_COLLECTION, _CURRENT.c.role == bindparam("of_role"))
NEWEST_AND_RENEWAL = NEWEST.add_columns(_COLLECTION.c.renew_at)
NAME = select(_COLLECTION).where(_COLLECTION.c.gun == bindparam("of_gun"))
KEYS = select(_KEY).where(_KEY.c.gun == bindparam("of_gun")).order_by(_KEY.c.role, _KEY.c.id)
ALL_NEWEST = _CURRENT_FILES.where(_CURRENT.c.collection_id == bindparam("of_id"))
SOME_NEWEST = ALL_NEWEST.where(_CURRENT.c.role.in_(bindparam("of_roles", expanding=True)))
NAMES = select(_COLLECTION).where(_COLLECTION.c.gun.in_(bindparam("of_guns", expanding=True)))
KEYS_OF_NAMES = (
    select(_KEY).where(_KEY.c.gun.in_(bindparam("of_guns", expanding=True))).order_by(_KEY.c.role, _KEY.c.id)
)
NEWEST_OF_NAMES = _CURRENT_FILES.add_columns(_COLLECTION.c.gun).where(
    _COLLECTION.c.gun.in_(bindparam("of_guns", expanding=True))
)
SUMMARIES = select(_COLLECTION).where(_COLLECTION.c.gun > bindparam("after_gun")).order_by(_COLLECTION.c.gun)
WAITING_KEYS = (
    select(_KEY)
    .where(
        _KEY.c.state != KeyState.OFFERED,
        _KEY.c.gun.not_in(select(_COLLECTION.c.gun).where(_COLLECTION.c.status == Status.LIVE)),
    )
    .order_by(_KEY.c.id)
)
EARLIEST_EXPIRY = select(func.min(_CURRENT.c.expires)).where(_CURRENT.c.kind == bindparam("of_kind"))

# Publishes.
INSERT_COLLECTION = insert(_COLLECTION).returning(_COLLECTION.c.id)
ADVANCE_COLLECTION = (
    update(_COLLECTION)
    .where(
        _COLLECTION.c.gun == bindparam("at_gun"),
        _COLLECTION.c.revision == bindparam("at_revision"),
        _COLLECTION.c.status != Status.DELETED,
    )
    .returning(_COLLECTION.c.id)
)
ADD_FILE = insert(_FILE).returning(_FILE.c.id)
ADD_CHANGE = insert(_CHANGE)
_ANY_CURRENT = upsert(_CURRENT)
MAKE_CURRENT = _ANY_CURRENT.on_conflict_do_update(
    index_elements=["collection_id", "role"],
    set_={name: _ANY_CURRENT.excluded[name] for name in ("file_id", "kind", "expires", "tags")} | {"expiry_told": 0},
)
DROP_OLDER = delete(_FILE).where(
    _FILE.c.collection_id == bindparam("of"), _FILE.c.role == bindparam("as_role"), _FILE.c.version != bindparam("but")
)


def newest_files(collection: int, only: Collection[RoleName] | None) -> tuple[Select[Any], dict[str, object]]:
    """Return the query for the current files of these roles of a collection, and its values. `only` None: of all."""
    if only is None:
        return ALL_NEWEST, {"of_id": collection}
    return SOME_NEWEST, {"of_id": collection, "of_roles": [str(role) for role in only]}
