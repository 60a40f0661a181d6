"""The ExchangeStore on a SQL database."""

from __future__ import annotations

import sqlite3

from sqlalchemy import Engine, delete, func, insert, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from trustdata.errors import NotStored
from trustserver.errors import TooMany
from trustserver.storage.exchange_port import ExchangedToken
from trustserver.storage.instants import from_seconds, to_seconds
from trustserver.storage.tables import ExchangedTokenRow, table_of

_TOKEN = table_of(ExchangedTokenRow)


class SqlExchanges:
    """The ExchangeStore on an engine from storage/database.py, whose schema must be at the newest revision."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def exchange(self, token: ExchangedToken, *, most: int, most_of_one: int) -> bool:
        created = to_seconds(token.created)
        try:
            with self._engine.connect().execution_options(writes=True) as connection, connection.begin():
                connection.execute(delete(_TOKEN).where(_TOKEN.c.kept_until <= created))
                of_one = func.count().filter(_TOKEN.c.workload == token.workload)
                kept, kept_of_one = connection.execute(select(func.count(), of_one).select_from(_TOKEN)).one()
                if kept_of_one >= most_of_one:
                    raise TooMany(what="tokens of this workload", limit=most_of_one)
                if kept >= most:
                    raise TooMany(what="tokens of workloads", limit=most)
                connection.execute(
                    insert(_TOKEN).values(
                        secret=token.secret,
                        workload=token.workload,
                        definition=token.definition,
                        shown=token.shown.hex(),
                        created=created,
                        expires=to_seconds(token.expires),
                        kept_until=to_seconds(token.kept_until),
                    )
                )
        except IntegrityError:
            return False
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise _not_stored(error) from error
        return True

    def exchanged(self) -> list[ExchangedToken]:
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(select(_TOKEN).order_by(_TOKEN.c.id)).all()
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise _not_stored(error) from error
        return [
            ExchangedToken(
                secret=row.secret,
                workload=row.workload,
                definition=row.definition,
                shown=bytes.fromhex(row.shown),
                created=from_seconds(row.created),
                expires=from_seconds(row.expires),
                kept_until=from_seconds(row.kept_until),
            )
            for row in rows
        ]

    def close(self) -> None:
        self._engine.dispose()


def _not_stored(error: Exception) -> NotStored:
    # SQLAlchemy's own message has the values of the statement; the driver's has not.
    return NotStored(reason=str(getattr(error, "orig", None) or type(error).__name__))
