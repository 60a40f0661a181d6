"""The ServerKeyStore on a SQL database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine, and_, case, delete, func, insert, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from trustdata.errors import NotStored
from trustserver.errors import StartRefused
from trustserver.storage.event_rows import add_event
from trustserver.storage.events import NewEvent
from trustserver.storage.instants import to_seconds
from trustserver.storage.key_port import NumberedKey, SealMarks
from trustserver.storage.ports import KeyRecord, KeyState
from trustserver.storage.stored_rows import key_record, key_values
from trustserver.storage.tables import OnlineKeyRow, SealRow, table_of

_KEY: Final = table_of(OnlineKeyRow)
_SEAL: Final = table_of(SealRow)
NOT_KNOWN: Final = (
    "the server that runs does not know this seal key, and could open nothing that is sealed with it; restart it with "
    "--next-seal-key, and run this again"
)
_OFFERED: Final = _KEY.c.state == KeyState.OFFERED


class SqlServerKeys:
    """The ServerKeyStore on an engine from storage/database.py, whose schema must be at the newest revision."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def marks(self) -> SealMarks:
        with self._transaction() as connection:
            row = connection.execute(select(_SEAL)).one_or_none()
        if row is None:
            return SealMarks(current="", following="", first="")
        return SealMarks(current=row.mark, following=row.next_mark, first=row.first_mark or row.mark)

    def accept_next(self, mark: str) -> None:
        with self._transaction(writes=True) as connection:
            connection.execute(update(_SEAL).values(next_mark=mark))

    def seals(self) -> Mapping[str, int]:
        with self._transaction() as connection:
            rows = connection.execute(select(_KEY.c.seal, func.count()).group_by(_KEY.c.seal)).all()
        return {str(seal): int(count) for seal, count in rows}

    def places(self) -> Mapping[str, int]:
        with self._transaction() as connection:
            rows = connection.execute(select(_KEY.c.place, func.count()).group_by(_KEY.c.place)).all()
        return {str(place): int(count) for place, count in rows}

    def sealed_otherwise(self, mark: str, *, after: int, limit: int) -> tuple[NumberedKey, ...]:
        following = (
            select(_KEY)
            .where(or_(_KEY.c.seal < mark, _KEY.c.seal > mark), _KEY.c.id > after)
            .order_by(_KEY.c.id)
            .limit(limit)
        )
        with self._transaction() as connection:
            rows = connection.execute(following).all()
        return tuple(NumberedKey(number=row.id, key=key_record(row)) for row in rows)

    def replace_sealed(self, keys: Sequence[tuple[NumberedKey, bytes]], *, mark: str, served: bool) -> int:
        with self._transaction(writes=True) as connection:
            if served and connection.execute(select(_SEAL.c.next_mark)).scalar() != mark:
                raise StartRefused(what="--next-seal-key", reason=NOT_KNOWN)
            replaced = 0
            for each, sealed in keys:
                # Compared with what was read: whoever was faster has sealed the same key, or deleted it.
                there = and_(_KEY.c.id == each.number, _KEY.c.sealed == each.key.sealed)
                replaced += connection.execute(update(_KEY).where(there).values(sealed=sealed, seal=mark)).rowcount
            return replaced

    def finish(self, mark: str, *, event: NewEvent) -> bool:
        with self._transaction(writes=True) as connection:
            if connection.execute(select(_KEY.c.id).where(_KEY.c.seal != mark).limit(1)).first() is not None:
                return False
            first = case((_SEAL.c.first_mark == "", _SEAL.c.mark), else_=_SEAL.c.first_mark)
            moved = connection.execute(update(_SEAL).where(_SEAL.c.mark != mark).values(mark=mark, first_mark=first))
            if moved.rowcount:
                add_event(connection, event)
            return True

    def add_offer(self, offer: KeyRecord, *, alive_since: datetime, of_role: int, most: int) -> None:
        role = (_OFFERED, _KEY.c.gun == offer.gun, _KEY.c.role == offer.role)
        newest_first = (_KEY.c.created.desc(), _KEY.c.id.desc())
        with self._transaction(writes=True) as connection:
            connection.execute(delete(_KEY).where(_OFFERED, _KEY.c.created < to_seconds(alive_since)))
            connection.execute(insert(_KEY).values(**key_values(offer)))
            for these, kept in ((role, of_role), ((_OFFERED,), most)):
                surplus = select(_KEY.c.id).where(*these).order_by(*newest_first).offset(kept)
                connection.execute(delete(_KEY).where(_KEY.c.id.in_(surplus)))

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _transaction(self, *, writes: bool = False) -> Iterator[Connection]:
        try:
            engine = self._engine.execution_options(writes=writes)
            with engine.connect() as connection, connection.begin():
                yield connection
        except (SQLAlchemyError, sqlite3.Error) as error:
            cause = getattr(error, "orig", None) or error
            raise NotStored(
                reason=type(cause).__name__ if isinstance(cause, SQLAlchemyError) else str(cause)
            ) from error
