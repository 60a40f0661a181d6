"""The MetadataStore on a SQL database: SQLite with a write-ahead log. A commit is on the disk when it returns."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, Engine, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import DatabaseError, IntegrityError, SQLAlchemyError

from trustdata.errors import NotStored
from trustdata.gun import GUN
from trustdata.roles import ONLINE, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName, is_delegated
from trustserver.errors import DiskFull, RevisionMoved
from trustserver.storage import event_rows, statements, version_rows
from trustserver.storage.blob_pieces import read_piece
from trustserver.storage.events import Actor, EventRange, NewEvent, StoredEvent
from trustserver.storage.expiry_rows import any_expiring, read_first_expiries, tell_expiring
from trustserver.storage.feed_rows import change_row, drop_changes, feed_record, newest_surplus, select_changes
from trustserver.storage.instants import from_optional_seconds, from_seconds, to_optional_seconds, to_seconds
from trustserver.storage.lookups import Lookup
from trustserver.storage.offer_rows import read_salts, write_salts
from trustserver.storage.overview_rows import read_overviews
from trustserver.storage.ports import (
    ClockRecord,
    FeedRecord,
    KeyRecord,
    KeyState,
    OfferSalt,
    Overview,
    Publication,
    RoleExpiry,
    Standing,
    Status,
    StoredCollection,
    StoredFile,
    StoredVersion,
    Summary,
    Tombstone,
)
from trustserver.storage.stored_rows import key_record, key_values, stored_collection, stored_file, tombstone_of
from trustserver.storage.tables import ChangeRow, CollectionRow, CurrentRow, FileRow, OnlineKeyRow, SealRow, table_of
from trustserver.storage.upkeep_rows import read_clock, select_outliving, write_clock

_COLLECTION = table_of(CollectionRow)
_FILE = table_of(FileRow)
_CURRENT = table_of(CurrentRow)
_KEY = table_of(OnlineKeyRow)
_CHANGE = table_of(ChangeRow)
_SEAL = table_of(SealRow)


class SqlStore:
    """The MetadataStore on an engine from storage/database.py, whose schema must be at the newest revision."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._version = Lookup(engine, statements.VERSION)
        self._by_hash = Lookup(engine, statements.BY_HASH)
        self._newest = Lookup(engine, statements.NEWEST)
        self._newest_and_renewal = Lookup(engine, statements.NEWEST_AND_RENEWAL)
        self._refusal: NotStored | None = None

    def load(self, gun: GUN, *, only: Collection[RoleName] | None = None) -> StoredCollection:
        with self._reading() as connection:
            row = connection.execute(statements.NAME, {"of_gun": gun}).one_or_none()
            keys = connection.execute(statements.KEYS, {"of_gun": gun}).all()
            files = connection.execute(*statements.newest_files(row.id, only)).all() if row is not None else ()
            return stored_collection(gun, row, files, keys)

    def load_many(self, guns: Sequence[GUN]) -> tuple[StoredCollection, ...]:
        names = {"of_guns": list(guns)}
        files, keys = defaultdict(list), defaultdict(list)
        with self._reading() as connection:
            rows = {row.gun: row for row in connection.execute(statements.NAMES, names)}
            for key in connection.execute(statements.KEYS_OF_NAMES, names):
                keys[key.gun].append(key)
            for file in connection.execute(statements.NEWEST_OF_NAMES, names):
                files[file.gun].append(file)
        return tuple(stored_collection(gun, rows.get(gun), files[gun], keys[gun]) for gun in guns)

    def file(self, gun: GUN, role: RoleName, version: int, *, wire: str = "") -> StoredFile | None:
        return self._fetch_file(self._version, gun, role, wire, of_version=version)

    def file_by_hash(self, gun: GUN, role: RoleName, sha256: str, *, wire: str = "") -> StoredFile | None:
        return self._fetch_file(self._by_hash, gun, role, wire, of_hash=sha256)

    def piece(self, gun: GUN, role: RoleName, sha256: str, *, start: int, length: int) -> bytes | None:
        with self._reading() as connection:
            return read_piece(connection, gun, role, sha256, start=start, length=length)

    def current(self, gun: GUN, role: RoleName, *, wire: str = "") -> StoredFile | None:
        return self._fetch_file(self._newest, gun, role, wire)

    def current_timestamp(self, gun: GUN, *, wire: str = "") -> tuple[StoredFile, datetime | None] | None:
        values = {"of_gun": gun, "of_role": str(TIMESTAMP), "of_format": wire}
        row = self._one_row(self._newest_and_renewal, values)
        return None if row is None else (stored_file(row), from_optional_seconds(row.renew_at))

    def size(self, gun: GUN) -> int:
        with self._reading() as connection:
            return version_rows.read_size(connection, gun)

    def standing(self, gun: GUN) -> Standing | None:
        with self._reading() as connection:
            return version_rows.read_standing(connection, gun)

    def versions(self, gun: GUN) -> tuple[StoredVersion, ...]:
        with self._reading() as connection:
            return version_rows.read_versions(connection, gun)

    def drop_versions(self, gun: GUN, versions: Collection[tuple[RoleName, int]]) -> None:
        with self._writing() as connection:
            version_rows.drop_versions(connection, gun, versions)

    def drop_changes(self, gun: GUN, *, keep: int) -> int:
        with self._reading() as connection:
            last = newest_surplus(connection, gun, keep=keep)
        if last is None:
            return 0
        with self._writing() as connection:
            return drop_changes(connection, gun, last=last)

    def room_taken(self) -> tuple[int, int]:
        with self._reading() as connection:
            return version_rows.read_count(connection), version_rows.read_bytes(connection)

    def count_names(self, *, subject: str) -> tuple[int, int]:
        with self._reading() as connection:
            return version_rows.count_names(connection, subject=subject)

    def publish(self, publication: Publication) -> int:
        gun, base = publication.gun, publication.base
        try:
            with self._writing() as connection:
                collection = self._insert_or_advance(connection, publication)
                for promoted in publication.promoted_keys:
                    self._promote(connection, promoted, base)
                for imported in publication.imported_keys:
                    connection.execute(delete(_KEY).where(_KEY.c.gun == gun, _KEY.c.role == imported.role))
                    connection.execute(insert(_KEY).values(**key_values(imported)))
                for file in publication.files:
                    self._add_file(connection, collection, file)
                    if file.role == TIMESTAMP and publication.in_feed:
                        self._add_change(connection, gun, file.stored_at, version=file.version, sha256=file.sha256)
                    elif file.role == TIMESTAMP:
                        # In TUF nobody can ask for an older timestamp: the file has no version in its name.
                        older = {"of": collection, "as_role": str(TIMESTAMP), "but": file.version}
                        connection.execute(statements.DROP_OLDER, older)
                self._add_event(connection, publication.event)
                return base + 1
        except IntegrityError as error:
            # The collection or a version exists already: somebody else has published since `base` was read.
            raise RevisionMoved(gun=gun, base=base) from error

    def delete(
        self,
        gun: GUN,
        *,
        base: int,
        tombstone: Tombstone,
        frees_name: bool = False,
        event: NewEvent | None = None,
    ) -> int:
        with self._writing() as connection:
            collection = self._advance(
                connection,
                gun,
                base,
                status=Status.RELEASED if frees_name else Status.DELETED,
                renew_at=None,
                deleted_root=tombstone.root_sha256,
                deleted_versions=json.dumps(dict(tombstone.versions), sort_keys=True),
                deleted_at=to_seconds(tombstone.deleted_at),
                deleted_by=tombstone.subject,
            )
            connection.execute(delete(_CURRENT).where(_CURRENT.c.collection_id == collection))
            connection.execute(delete(_FILE).where(_FILE.c.collection_id == collection))
            connection.execute(delete(_KEY).where(_KEY.c.gun == gun))
            if frees_name:
                self._add_change(connection, gun, tombstone.deleted_at)
            self._add_event(connection, event)
            return base + 1

    def changes(self, gun: GUN | None, *, after: int, limit: int) -> tuple[FeedRecord, ...]:
        with self._reading() as connection:
            following = select_changes(gun).where(_CHANGE.c.id > after).order_by(_CHANGE.c.id).limit(limit)
            return tuple(map(feed_record, connection.execute(following)))

    def changes_before(self, gun: GUN | None, *, before: int | None, limit: int) -> tuple[FeedRecord, ...]:
        with self._reading() as connection:
            last = select_changes(gun).order_by(_CHANGE.c.id.desc()).limit(limit)
            found = connection.execute(last if before is None else last.where(_CHANGE.c.id < before)).all()
            return tuple(map(feed_record, reversed(found)))

    def add_pending(self, key: KeyRecord, *, base: int, event: NewEvent | None = None) -> int:
        with self._writing() as connection:
            self._advance(connection, key.gun, base)
            pending = (
                _KEY.c.gun == key.gun,
                _KEY.c.role == key.role,
                _KEY.c.state == KeyState.PENDING,
            )
            connection.execute(delete(_KEY).where(*pending))
            connection.execute(insert(_KEY).values(**key_values(key)))
            self._add_event(connection, event)
            return base + 1

    def offer_salts(self) -> tuple[OfferSalt, ...]:
        with self._reading() as connection:
            return read_salts(connection)

    def replace_offer_salts(self, salts: Sequence[OfferSalt]) -> None:
        with self._writing() as connection:
            write_salts(connection, salts)

    def release(self, gun: GUN, *, event: NewEvent | None = None) -> bool:
        with self._writing() as connection:
            moved = connection.execute(
                update(_COLLECTION)
                .where(_COLLECTION.c.gun == gun, _COLLECTION.c.status == Status.DELETED)
                .values(status=Status.RELEASED, revision=_COLLECTION.c.revision + 1)
            )
            if moved.rowcount == 1:
                self._add_event(connection, event)
            return moved.rowcount == 1

    def record(self, event: NewEvent) -> int:
        with self._writing() as connection:
            return event_rows.add_event(connection, event)

    def events(
        self, gun: GUN | None, *, after: int, limit: int, since: datetime | None = None
    ) -> tuple[StoredEvent, ...]:
        with self._reading() as connection:
            return event_rows.read_events(connection, gun, after=after, limit=limit, since=since)

    def event_ranges(self) -> tuple[EventRange, ...]:
        with self._reading() as connection:
            return tuple(event_rows.read_ranges(connection))

    def erase_people(self, subject: str, *, stored: str, by: Actor, at: datetime) -> int:
        with self._writing() as connection:
            connection.exec_driver_sql("PRAGMA secure_delete=ON")
            try:
                return event_rows.erase_people(connection, subject, stored=stored, by=by, at=at)
            finally:
                connection.exec_driver_sql("PRAGMA secure_delete=FAST")

    def tell_expiring(self, *, at: datetime, until: datetime, limit: int) -> int:
        with self._reading() as connection:
            if not any_expiring(connection, at=at, until=until):
                return 0
        with self._writing() as connection:
            return tell_expiring(connection, at=at, until=until, most=limit)

    def newest_event(self) -> int:
        with self._reading() as connection:
            return event_rows.read_newest(connection)

    def hook_cursor(self, name: str) -> int | None:
        with self._reading() as connection:
            return event_rows.read_hook_cursor(connection, name)

    def move_hook_cursor(self, name: str, told: int) -> None:
        with self._writing() as connection:
            event_rows.write_hook_cursor(connection, name, told)

    def drop_events(self, *, keep: int) -> int:
        with self._writing() as connection:
            return event_rows.drop_events(connection, keep=keep)

    def due(self, *, at: datetime, limit: int) -> tuple[GUN, ...]:
        with self._reading() as connection:
            waiting = (
                select(_COLLECTION.c.gun)
                .where(_COLLECTION.c.renew_at <= to_seconds(at))
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

    def collections(self, *, after: str = "", limit: int | None = None) -> tuple[Summary, ...]:
        with self._reading() as connection:
            rows = connection.execute(statements.SUMMARIES.limit(limit), {"after_gun": after})
            return tuple(
                Summary(
                    gun=GUN(row.gun),
                    format=row.format,
                    status=Status(row.status),
                    revision=row.revision,
                    tombstone=tombstone_of(row),
                )
                for row in rows
            )

    def overviews(self, *, after: str = "", limit: int) -> tuple[Overview, ...]:
        summaries = self.collections(after=after, limit=limit)
        with self._reading() as connection:
            return read_overviews(connection, summaries)

    def earliest_expiries(self) -> Mapping[str, datetime]:
        with self._reading() as connection:
            # One for each kind, since that is one step in the index; a grouping reads the whole of it.
            soonest = {
                kind: connection.execute(statements.EARLIEST_EXPIRY, {"of_kind": kind}).scalar() for kind in _KINDS
            }
            return {kind: from_seconds(expires) for kind, expires in soonest.items() if expires is not None}

    def first_expiries(self, *, most: int) -> tuple[RoleExpiry, ...]:
        with self._reading() as connection:
            return read_first_expiries(connection, most=most)

    def waiting_keys(self) -> tuple[KeyRecord, ...]:
        with self._reading() as connection:
            return tuple(map(key_record, connection.execute(statements.WAITING_KEYS).all()))

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
            .where(
                _COLLECTION.c.gun == gun,
                _COLLECTION.c.revision == base,
                _COLLECTION.c.status == Status.LIVE,
            )
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
            "renew_at": to_seconds(publication.renew_at),
            **_NO_TOMBSTONE,
        }
        by_owners = [file.stored_at for file in publication.files if file.role not in ONLINE]
        if by_owners:  # else the server has renewed what it signs itself
            row |= {"published_by": publication.subject, "published_at": to_optional_seconds(by_owners[0])}
        if base == 0:
            return int(
                connection.execute(
                    statements.INSERT_COLLECTION, {**row, "created_by": publication.subject}
                ).scalar_one()
            )
        moved = connection.execute(statements.ADVANCE_COLLECTION, {**row, "at_gun": gun, "at_revision": base}).scalar()
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
        expires = to_seconds(file.expires)
        stored_at = to_optional_seconds(file.stored_at)
        content = {"version": file.version, "sha256": file.sha256, "expires": expires, "raw": file.raw}
        content["stored_at"] = stored_at
        file_id = connection.execute(statements.ADD_FILE, {**row_key, **content}).scalar_one()
        kind = _DELEGATION if is_delegated(file.role) else str(file.role)
        connection.execute(
            statements.MAKE_CURRENT,
            {**row_key, "file_id": file_id, "kind": kind, "expires": expires, "tags": file.tags},
        )

    def _add_change(
        self, connection: Connection, gun: GUN, created: datetime | None, *, version: int = 0, sha256: str = ""
    ) -> None:
        """Add a record to the change feed: a new timestamp or, if `sha256` is empty, a deletion."""
        connection.execute(statements.ADD_CHANGE, change_row(gun, created, version=version, sha256=sha256))

    def _add_event(self, connection: Connection, event: NewEvent | None) -> None:
        if event is not None:
            event_rows.add_event(connection, event)

    def _fetch_file(self, lookup: Lookup, gun: GUN, role: RoleName, wire: str, **more: str | int) -> StoredFile | None:
        row = self._one_row(lookup, {"of_gun": gun, "of_role": str(role), "of_format": wire, **more})
        return None if row is None else stored_file(row)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection, connection.begin():
                yield connection
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise _not_stored(error) from error

    def _one_row(self, lookup: Lookup, values: Mapping[str, str | int]) -> Any:
        """Return the row that one statement finds; None if it finds none. Raises: NotStored."""
        try:
            return lookup.find(values)
        except (SQLAlchemyError, sqlite3.Error) as error:
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


_DELEGATION = "delegation"
_KINDS = (str(ROOT), str(TARGETS), str(SNAPSHOT), str(TIMESTAMP), _DELEGATION)
_NO_TOMBSTONE = {"deleted_root": "", "deleted_versions": "{}", "deleted_at": None, "deleted_by": ""}


def _not_stored(error: SQLAlchemyError | sqlite3.Error) -> NotStored:
    # SQLAlchemy's own message has the SQL statement and its values; the driver's has not.
    cause = error.orig if isinstance(error, DatabaseError) else error
    # A new connection needs SQLite's shared memory file; if there is no space for that, the error is another one.
    if getattr(cause, "sqlite_errorcode", None) in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}:
        return DiskFull()
    return NotStored(reason=type(cause).__name__ if isinstance(cause, SQLAlchemyError) else str(cause))


def _total_changes(connection: Connection) -> int:
    """Return how many rows this connection has changed since it was opened."""
    driver = cast("sqlite3.Connection", connection.connection.dbapi_connection)
    return driver.total_changes
