"""Hold the SQL statements of reads and publishes, made once: making one costs twice as much as running it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from trustdata.roles import RoleName
from trustserver.storage.ports import Status
from trustserver.storage.tables import CHANGE, COLLECTION, CURRENT, FILE, ONLINE_KEY

_FILE_COLUMNS = (FILE.c.role, FILE.c.version, FILE.c.raw, FILE.c.sha256, FILE.c.expires, FILE.c.stored_at)
_CURRENT_FILES = (
    select(*_FILE_COLUMNS)
    .join(CURRENT, CURRENT.c.file_id == FILE.c.id)
    .join(COLLECTION, COLLECTION.c.id == CURRENT.c.collection_id)
)
_ANY_FILE = select(*_FILE_COLUMNS).join(COLLECTION, COLLECTION.c.id == FILE.c.collection_id)

# Reads.
_IN_COLLECTION = (
    COLLECTION.c.gun == bindparam("of_gun"),
    or_(bindparam("of_format") == "", COLLECTION.c.format == bindparam("of_format")),
)
VERSION = _ANY_FILE.where(
    *_IN_COLLECTION, FILE.c.role == bindparam("of_role"), FILE.c.version == bindparam("of_version")
)
BY_HASH = _ANY_FILE.where(*_IN_COLLECTION, FILE.c.role == bindparam("of_role"), FILE.c.sha256 == bindparam("of_hash"))
NEWEST = _CURRENT_FILES.where(*_IN_COLLECTION, CURRENT.c.role == bindparam("of_role"))
NEWEST_AND_RENEWAL = NEWEST.add_columns(COLLECTION.c.renew_at)
NAME = select(COLLECTION).where(COLLECTION.c.gun == bindparam("of_gun"))
KEYS = select(ONLINE_KEY).where(ONLINE_KEY.c.gun == bindparam("of_gun")).order_by(ONLINE_KEY.c.role, ONLINE_KEY.c.id)
ALL_NEWEST = _CURRENT_FILES.where(CURRENT.c.collection_id == bindparam("of_id"))
SOME_NEWEST = ALL_NEWEST.where(CURRENT.c.role.in_(bindparam("of_roles", expanding=True)))
NAMES = select(COLLECTION).where(COLLECTION.c.gun.in_(bindparam("of_guns", expanding=True)))
KEYS_OF_NAMES = (
    select(ONLINE_KEY)
    .where(ONLINE_KEY.c.gun.in_(bindparam("of_guns", expanding=True)))
    .order_by(ONLINE_KEY.c.role, ONLINE_KEY.c.id)
)
NEWEST_OF_NAMES = _CURRENT_FILES.add_columns(COLLECTION.c.gun).where(
    COLLECTION.c.gun.in_(bindparam("of_guns", expanding=True))
)
SUMMARIES = select(COLLECTION).where(COLLECTION.c.gun > bindparam("after_gun")).order_by(COLLECTION.c.gun)
WAITING_KEYS = (
    select(ONLINE_KEY)
    .where(ONLINE_KEY.c.gun.not_in(select(COLLECTION.c.gun).where(COLLECTION.c.status == Status.LIVE)))
    .order_by(ONLINE_KEY.c.id)
)
EARLIEST_EXPIRY = select(func.min(CURRENT.c.expires)).where(CURRENT.c.kind == bindparam("of_kind"))

# Publishes.
INSERT_COLLECTION = insert(COLLECTION).returning(COLLECTION.c.id)
ADVANCE_COLLECTION = (
    update(COLLECTION)
    .where(
        COLLECTION.c.gun == bindparam("at_gun"),
        COLLECTION.c.revision == bindparam("at_revision"),
        COLLECTION.c.status != Status.DELETED,
    )
    .returning(COLLECTION.c.id)
)
ADD_FILE = insert(FILE).returning(FILE.c.id)
ADD_CHANGE = insert(CHANGE)
_ANY_CURRENT = upsert(CURRENT)
MAKE_CURRENT = _ANY_CURRENT.on_conflict_do_update(
    index_elements=["collection_id", "role"],
    set_={name: _ANY_CURRENT.excluded[name] for name in ("file_id", "kind", "expires", "tags")},
)
DROP_OLDER = delete(FILE).where(
    FILE.c.collection_id == bindparam("of"), FILE.c.role == bindparam("as_role"), FILE.c.version != bindparam("but")
)


def newest_files(collection: int, only: Collection[RoleName] | None) -> tuple[Select[Any], dict[str, object]]:
    """Return the query for the current files of these roles of a collection, and its values. `only` None: of all."""
    if only is None:
        return ALL_NEWEST, {"of_id": collection}
    return SOME_NEWEST, {"of_id": collection, "of_roles": [str(role) for role in only]}
