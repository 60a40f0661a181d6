"""The MetadataStore on a SQL database: SQLite with a write-ahead log. A commit is on the disk when it returns."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.engine import Row
from sqlalchemy.exc import DatabaseError, IntegrityError, SQLAlchemyError

from trustdata.errors import NotStored
from trustdata.gun import GUN
from trustdata.roles import TIMESTAMP, RoleName, is_delegated
from trustserver.errors import DiskFull, RevisionMoved
from trustserver.storage.ports import (
    Category,
    ClockRecord,
    FeedRecord,
    KeyRecord,
    KeyState,
    Publication,
    Status,
    StoredCollection,
    StoredFile,
    Summary,
    Tombstone,
)
from trustserver.storage.tables import ChangeRow, CollectionRow, CurrentRow, FileRow, OnlineKeyRow, SealRow, table_of
from trustserver.storage.upkeep_rows import read_clock, select_outliving, select_size, write_clock

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


# The statements that every publish needs are made once, because making one costs more than running it.
_INSERT_COLLECTION = insert(_COLLECTION).returning(_COLLECTION.c.id)
_ADVANCE_COLLECTION = (
    update(_COLLECTION)
    .where(
        _COLLECTION.c.gun == bindparam("at_gun"),
        _COLLECTION.c.revision == bindparam("at_revision"),
        _COLLECTION.c.status != Status.DELETED,
    )
    .returning(_COLLECTION.c.id)
)
_ADD_FILE = insert(_FILE).returning(_FILE.c.id)
_ADD_CHANGE = insert(_CHANGE)
_ANY_CURRENT = upsert(_CURRENT)
_MAKE_CURRENT = _ANY_CURRENT.on_conflict_do_update(
    index_elements=["collection_id", "role"],
    set_={name: _ANY_CURRENT.excluded[name] for name in ("file_id", "kind", "expires")},
)
_DROP_OLDER = delete(_FILE).where(
    _FILE.c.collection_id == bindparam("of"), _FILE.c.role == bindparam("as_role"), _FILE.c.version != bindparam("but")
)

_FileRow: TypeAlias = Row[Any, Any, Any, Any, Any, Any]


class SqlStore:
    """The MetadataStore on an engine from storage/database.py, whose schema must be at the newest revision."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._refusal: NotStored | None = None

    def load(self, gun: GUN) -> StoredCollection:
        with self._reading() as connection:
            row = connection.execute(select(_COLLECTION).where(_COLLECTION.c.gun == gun)).one_or_none()
            keys = connection.execute(select(_KEY).where(_KEY.c.gun == gun).order_by(_KEY.c.role, _KEY.c.id)).all()
            held = tuple(map(_key_record, keys))
            if row is None:
                return StoredCollection(gun=gun, status=Status.ABSENT, keys=held)
            files = connection.execute(_CURRENT_FILES.where(_CURRENT.c.collection_id == row.id)).all()
            return StoredCollection(
                gun=gun,
                status=Status(row.status),
                format=row.format,
                revision=row.revision,
                files={RoleName(f.role): _file(f) for f in files},
                keys=held,
                tombstone=_tombstone(row),
            )

    def file(self, gun: GUN, role: RoleName, version: int, *, wire: str = "") -> StoredFile | None:
        return self._fetch_file(
            _ANY_FILE.where(*_matching(gun, wire), _FILE.c.role == role, _FILE.c.version == version)
        )

    def file_by_hash(self, gun: GUN, role: RoleName, sha256: str, *, wire: str = "") -> StoredFile | None:
        return self._fetch_file(_ANY_FILE.where(*_matching(gun, wire), _FILE.c.role == role, _FILE.c.sha256 == sha256))

    def current(self, gun: GUN, role: RoleName, *, wire: str = "") -> StoredFile | None:
        return self._fetch_file(_CURRENT_FILES.where(*_matching(gun, wire), _CURRENT.c.role == role))

    def size(self, gun: GUN) -> int:
        with self._reading() as connection:
            return select_size(connection, gun)

    def renew_at(self, gun: GUN) -> datetime | None:
        with self._reading() as connection:
            seconds = connection.execute(select(_COLLECTION.c.renew_at).where(_COLLECTION.c.gun == gun)).scalar()
            return None if seconds is None else _instant(seconds)

    def publish(self, publication: Publication) -> int:
        gun, base = publication.gun, publication.base
        try:
            with self._writing() as connection:
                collection = self._insert_or_advance(connection, publication)
                for promoted in publication.promoted_keys:
                    self._promote(connection, promoted, base)
                for imported in publication.imported_keys:
                    connection.execute(delete(_KEY).where(_KEY.c.gun == gun, _KEY.c.role == imported.role))
                    connection.execute(insert(_KEY).values(**_key_values(imported)))
                if base == 0 or publication.promoted_keys:
                    connection.execute(delete(_KEY).where(_KEY.c.gun == gun, _KEY.c.state == KeyState.OFFERED))
                for file in publication.files:
                    self._add_file(connection, collection, file)
                    if file.role == TIMESTAMP and publication.in_feed:
                        self._add_change(connection, gun, file.stored_at, version=file.version, sha256=file.sha256)
                    elif file.role == TIMESTAMP:
                        # In TUF nobody can ask for an older timestamp: the file has no version in its name.
                        older = {"of": collection, "as_role": str(TIMESTAMP), "but": file.version}
                        connection.execute(_DROP_OLDER, older)
                return base + 1
        except IntegrityError as error:
            # The collection or a version exists already: somebody else has published since `base` was read.
            raise RevisionMoved(gun=gun, base=base) from error

    def delete(self, gun: GUN, *, base: int, tombstone: Tombstone, released: bool = False) -> int:
        with self._writing() as connection:
            collection = self._advance(
                connection,
                gun,
                base,
                status=Status.RELEASED if released else Status.DELETED,
                renew_at=None,
                deleted_root=tombstone.root_sha256,
                deleted_versions=json.dumps(dict(tombstone.versions), sort_keys=True),
                deleted_at=_seconds(tombstone.deleted_at),
                deleted_by=tombstone.subject,
            )
            connection.execute(delete(_CURRENT).where(_CURRENT.c.collection_id == collection))
            connection.execute(delete(_FILE).where(_FILE.c.collection_id == collection))
            connection.execute(delete(_KEY).where(_KEY.c.gun == gun))
            if released:
                self._add_change(connection, gun, tombstone.deleted_at)
            return base + 1

    def changes(self, gun: GUN | None, *, after: int, limit: int) -> tuple[FeedRecord, ...]:
        with self._reading() as connection:
            following = _select_changes(gun).where(_CHANGE.c.id > after).order_by(_CHANGE.c.id).limit(limit)
            return tuple(map(_feed_record, connection.execute(following)))

    def changes_before(self, gun: GUN | None, *, before: int | None, limit: int) -> tuple[FeedRecord, ...]:
        with self._reading() as connection:
            last = _select_changes(gun).order_by(_CHANGE.c.id.desc()).limit(limit)
            found = connection.execute(last if before is None else last.where(_CHANGE.c.id < before)).all()
            return tuple(map(_feed_record, reversed(found)))

    def add_pending(self, key: KeyRecord, *, base: int) -> int:
        with self._writing() as connection:
            self._advance(connection, key.gun, base)
            pending = (_KEY.c.gun == key.gun, _KEY.c.role == key.role, _KEY.c.state == KeyState.PENDING)
            connection.execute(delete(_KEY).where(*pending))
            connection.execute(insert(_KEY).values(**_key_values(key)))
            return base + 1

    def offer(self, key: KeyRecord, *, limit: int) -> KeyRecord:
        with self._writing() as connection:
            status = connection.execute(select(_COLLECTION.c.status).where(_COLLECTION.c.gun == key.gun)).scalar()
            if status in {Status.LIVE, Status.DELETED}:
                raise RevisionMoved(gun=key.gun, base=0)
            offered = _KEY.c.state == KeyState.OFFERED
            held = connection.execute(
                select(_KEY).where(_KEY.c.gun == key.gun, _KEY.c.role == key.role, offered)
            ).one_or_none()
            if held is not None:
                return _key_record(held)
            if (connection.execute(select(func.count()).select_from(_KEY).where(offered)).scalar() or 0) >= limit:
                raise NotStored(reason="too many names wait for their first publish; try again later")
            connection.execute(insert(_KEY).values(**_key_values(key)))
            return key

    def drop_offers(self, *, before: datetime) -> int:
        with self._writing() as connection:
            old = (_KEY.c.state == KeyState.OFFERED, _KEY.c.created < _seconds(before))
            return connection.execute(delete(_KEY).where(*old)).rowcount

    def release(self, gun: GUN) -> bool:
        with self._writing() as connection:
            moved = connection.execute(
                update(_COLLECTION)
                .where(_COLLECTION.c.gun == gun, _COLLECTION.c.status == Status.DELETED)
                .values(status=Status.RELEASED, revision=_COLLECTION.c.revision + 1)
            )
            return moved.rowcount == 1

    def due(self, *, at: datetime, limit: int) -> tuple[GUN, ...]:
        with self._reading() as connection:
            waiting = (
                select(_COLLECTION.c.gun)
                .where(_COLLECTION.c.renew_at <= _seconds(at))
                .order_by(_COLLECTION.c.renew_at, _COLLECTION.c.gun)
                .limit(limit)
            )
            return tuple(GUN(gun) for gun in connection.execute(waiting).scalars())

    def outliving(self, bounds: Mapping[str, Mapping[RoleName, datetime]], *, limit: int) -> tuple[GUN, ...]:
        found: set[str] = set()
        with self._reading() as connection:
            for wire, by_role in bounds.items():
                for role, bound in by_role.items():
                    found.update(connection.execute(select_outliving(wire, role, bound).limit(limit)).scalars())
        return tuple(GUN(gun) for gun in sorted(found)[:limit])

    def collections(self) -> tuple[Summary, ...]:
        with self._reading() as connection:
            rows = connection.execute(select(_COLLECTION).order_by(_COLLECTION.c.gun)).all()
            return tuple(
                Summary(
                    gun=GUN(row.gun),
                    format=row.format,
                    status=Status(row.status),
                    revision=row.revision,
                    tombstone=_tombstone(row),
                )
                for row in rows
            )

    def earliest_expiries(self) -> Mapping[str, datetime]:
        with self._reading() as connection:
            soonest = select(_CURRENT.c.kind, func.min(_CURRENT.c.expires)).group_by(_CURRENT.c.kind)
            return {kind: _instant(expires) for kind, expires in connection.execute(soonest)}

    def sealed_keys(self) -> tuple[KeyRecord, ...]:
        with self._reading() as connection:
            return tuple(map(_key_record, connection.execute(select(_KEY).order_by(_KEY.c.id)).all()))

    def seal_mark(self) -> str:
        with self._reading() as connection:
            return connection.execute(select(_SEAL.c.mark)).scalar() or ""

    def set_seal_mark(self, mark: str) -> None:
        with self._writing() as connection:
            stored = upsert(_SEAL).values(id=1, mark=mark)
            connection.execute(stored.on_conflict_do_update(index_elements=["id"], set_={"mark": mark}))

    def clock_record(self) -> ClockRecord:
        with self._reading() as connection:
            return read_clock(connection)

    def record_round(self, at: datetime) -> None:
        with self._writing() as connection:
            write_clock(connection, at, accepted=False)

    def accept_clock(self, at: datetime) -> None:
        with self._writing() as connection:
            write_clock(connection, at, accepted=True)

    def ping(self) -> None:
        with self._reading() as connection:
            connection.execute(select(_SEAL.c.id)).all()

    def refusal(self) -> NotStored | None:
        return self._refusal

    def probe(self) -> None:
        with self._writing() as connection:
            # SQLite leaves this number to its users, and here it has no meaning. A new number is always written to the
            # disk; an update that sets a row to the values that it has may not be.
            number = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            connection.exec_driver_sql(f"PRAGMA user_version={(number + 1) % 2**30}")
        self._refusal = None

    def close(self) -> None:
        self._engine.dispose()

    # -- writing, inside one transaction --------------------------------------------------------------------

    def _advance(self, connection: Connection, gun: GUN, base: int, **values: int | str | None) -> int:
        """Advance a live collection from revision `base` to the next, and return its id. Raises: RevisionMoved."""
        moved = connection.execute(
            update(_COLLECTION)
            .where(_COLLECTION.c.gun == gun, _COLLECTION.c.revision == base, _COLLECTION.c.status == Status.LIVE)
            .values(revision=base + 1, **values)
            .returning(_COLLECTION.c.id)
        ).scalar()
        if moved is None:
            raise RevisionMoved(gun=gun, base=base)
        return int(moved)

    def _insert_or_advance(self, connection: Connection, publication: Publication) -> int:
        gun, base = publication.gun, publication.base
        row = {
            "gun": gun,
            "status": Status.LIVE,
            "format": publication.format,
            "revision": base + 1,
            "renew_at": _seconds(publication.renew_at),
            **_NO_TOMBSTONE,
        }
        if base == 0:
            return int(connection.execute(_INSERT_COLLECTION, row).scalar_one())
        moved = connection.execute(_ADVANCE_COLLECTION, {**row, "at_gun": gun, "at_revision": base}).scalar()
        if moved is None:
            raise RevisionMoved(gun=gun, base=base)
        return int(moved)

    def _promote(self, connection: Connection, promoted: KeyRecord, base: int) -> None:
        role = (_KEY.c.gun == promoted.gun, _KEY.c.role == promoted.role)
        moved = connection.execute(
            update(_KEY).where(*role, _KEY.c.keyid == promoted.keyid).values(state=KeyState.CURRENT)
        )
        if moved.rowcount != 1:
            raise RevisionMoved(gun=promoted.gun, base=base)
        connection.execute(delete(_KEY).where(*role, _KEY.c.keyid != promoted.keyid))

    def _add_file(self, connection: Connection, collection: int, file: StoredFile) -> None:
        row_key = {"collection_id": collection, "role": str(file.role)}
        expires = _seconds(file.expires)
        stored_at = None if file.stored_at is None else _seconds(file.stored_at)
        content = {"version": file.version, "sha256": file.sha256, "expires": expires, "raw": file.raw}
        content["stored_at"] = stored_at
        file_id = connection.execute(_ADD_FILE, {**row_key, **content}).scalar_one()
        kind = "delegation" if is_delegated(file.role) else str(file.role)
        connection.execute(_MAKE_CURRENT, {**row_key, "file_id": file_id, "kind": kind, "expires": expires})

    def _add_change(
        self, connection: Connection, gun: GUN, created: datetime | None, *, version: int = 0, sha256: str = ""
    ) -> None:
        """Add a record to the change feed: a new timestamp or, if `sha256` is empty, a deletion."""
        row = {
            "created": ((created or _EPOCH) - _EPOCH) // _MICROSECOND,
            "gun": gun,
            "version": version,
            "sha256": sha256,
        }
        category = Category.UPDATE if sha256 else Category.DELETION
        connection.execute(_ADD_CHANGE, {**row, "category": category})

    def _fetch_file(self, query: Select[Any]) -> StoredFile | None:
        with self._reading() as connection:
            row = connection.execute(query).one_or_none()
            return None if row is None else _file(row)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection, connection.begin():
                yield connection
        except SQLAlchemyError as error:
            raise _not_stored(error) from error

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        try:
            with self._engine.connect().execution_options(writes=True) as connection:
                before = _total_changes(connection)
                with connection.begin():
                    yield connection
                # A transaction that changed nothing was not written, so it does not show that writes succeed.
                if _total_changes(connection) != before:
                    self._refusal = None
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            self._refusal = _not_stored(error)
            raise self._refusal from error


_EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)
_NO_TOMBSTONE = {"deleted_root": "", "deleted_versions": "{}", "deleted_at": None, "deleted_by": ""}


def _cause(error: SQLAlchemyError) -> str:
    """Return the database's own message, without the SQL statement and its values."""
    return str(error.orig) if isinstance(error, DatabaseError) else type(error).__name__


def _not_stored(error: SQLAlchemyError) -> NotStored:
    # A new connection needs SQLite's shared memory file; if there is no space for that, the error is another one.
    full = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}
    if isinstance(error, DatabaseError) and getattr(error.orig, "sqlite_errorcode", None) in full:
        return DiskFull()
    return NotStored(reason=_cause(error))


def _total_changes(connection: Connection) -> int:
    """Return how many rows this connection has changed since it was opened."""
    driver = cast("sqlite3.Connection", connection.connection.dbapi_connection)
    return driver.total_changes


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _matching(gun: GUN, wire: str) -> list[ColumnElement[bool]]:
    return [_COLLECTION.c.gun == gun, *([_COLLECTION.c.format == wire] if wire else [])]


def _file(row: _FileRow) -> StoredFile:
    return StoredFile(
        role=RoleName(row.role),
        version=row.version,
        raw=row.raw,
        sha256=row.sha256,
        expires=_instant(row.expires),
        stored_at=None if row.stored_at is None else _instant(row.stored_at),
    )


def _select_changes(gun: GUN | None) -> Select[Any]:
    every = select(_CHANGE)
    return every if gun is None else every.where(_CHANGE.c.gun == gun)


def _feed_record(row: Row[Any]) -> FeedRecord:
    return FeedRecord(
        id=row.id,
        created=_EPOCH + row.created * _MICROSECOND,
        gun=GUN(row.gun),
        version=row.version,
        sha256=row.sha256,
        category=Category(row.category),
    )


def _key_record(row: Row[Any]) -> KeyRecord:
    return KeyRecord(
        gun=GUN(row.gun),
        role=RoleName(row.role),
        keyid=row.keyid,
        public=row.public,
        sealed=row.sealed,
        state=KeyState(row.state),
        created=_instant(row.created),
    )


def _key_values(key: KeyRecord) -> dict[str, object]:
    return {
        "gun": key.gun,
        "role": key.role,
        "keyid": key.keyid,
        "public": key.public,
        "sealed": key.sealed,
        "state": key.state,
        "created": _seconds(key.created),
    }


def _tombstone(row: Row[Any]) -> Tombstone | None:
    if row.deleted_at is None:
        return None
    return Tombstone(
        root_sha256=row.deleted_root,
        versions=json.loads(row.deleted_versions),
        deleted_at=_instant(row.deleted_at),
        subject=row.deleted_by,
    )
