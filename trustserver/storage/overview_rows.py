"""What an operator sees of many names at a time, read with three statements for each page of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, select

from trustdata.roles import ONLINE, RELEASES, TARGETS
from trustdata.wire.notary import NOTARY
from trustserver.storage.instants import from_optional_seconds
from trustserver.storage.ports import Overview, Summary
from trustserver.storage.tables import CollectionRow, CurrentRow, FileRow, table_of

_COLLECTION = table_of(CollectionRow)
_FILE = table_of(FileRow)
_CURRENT = table_of(CurrentRow)
_OF_THESE: Final[Any] = bindparam("of_ids", expanding=True)
_PUBLISHED: Final = select(
    _COLLECTION.c.gun, _COLLECTION.c.id, _COLLECTION.c.published_at, _COLLECTION.c.published_by
).where(_COLLECTION.c.gun.in_(bindparam("of_guns", expanding=True)))
_ROLES: Final = select(_CURRENT.c.collection_id, _CURRENT.c.role, _CURRENT.c.expires, _CURRENT.c.tags).where(
    _CURRENT.c.collection_id.in_(_OF_THESE)
)
_SIZES: Final = (
    select(_FILE.c.collection_id, func.sum(func.length(_FILE.c.raw)).label("size"))
    .where(_FILE.c.collection_id.in_(_OF_THESE))
    .group_by(_FILE.c.collection_id)
)


def read_overviews(connection: Connection, summaries: Iterable[Summary]) -> tuple[Overview, ...]:
    """Return what is seen of these names, in order."""
    summaries = tuple(summaries)
    names = connection.execute(_PUBLISHED, {"of_guns": [summary.gun for summary in summaries]}).all()
    by_name = {row.gun: row for row in names}
    ids = {"of_ids": [row.id for row in names]}
    roles: dict[int, list[Any]] = defaultdict(list)
    for role in connection.execute(_ROLES, ids):
        roles[role.collection_id].append(role)
    sizes = {row.collection_id: int(row.size) for row in connection.execute(_SIZES, ids)}
    return tuple(_overview(summary, by_name[summary.gun], roles, sizes) for summary in summaries)


def _overview(summary: Summary, row: Any, roles: Mapping[int, list[Any]], sizes: Mapping[int, int]) -> Overview:
    current = roles.get(row.id, [])
    first = min(current, key=_soonest, default=None)
    of_owners = min((role for role in current if role.role not in ONLINE), key=_soonest, default=None)
    return Overview(
        summary=summary,
        tags=_released({role.role: role.tags or 0 for role in current}, summary.format),
        size=sizes.get(row.id, 0),
        published_at=from_optional_seconds(row.published_at),
        published_by=row.published_by,
        expires=from_optional_seconds(first.expires) if first is not None else None,
        expires_role=first.role if first is not None else "",
        owner_expires=from_optional_seconds(of_owners.expires) if of_owners is not None else None,
        owner_expires_role=of_owners.role if of_owners is not None else "",
    )


def _soonest(role: Any) -> tuple[int, str]:
    return role.expires, role.role


def _released(tags: Mapping[str, int], format_name: str) -> int:
    """Return how many tags the releasing roles list: of TUF 1.0 one of them does, in Notary v1 both."""
    if RELEASES not in tags or format_name == NOTARY.name:
        return tags.get(TARGETS, 0) + tags.get(RELEASES, 0)
    return tags[RELEASES]
