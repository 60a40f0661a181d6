"""The AccessStore on a SQL database. Several programs may use it at one time, a server and commands."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import SQLAlchemyError

from keys.rfc3339 import to_rfc3339
from trustdata.errors import NotStored
from trustserver.storage.access_port import CountingRules, CredentialKind, StoredCredential
from trustserver.storage.event_rows import add_event
from trustserver.storage.events import AccessChange, Actor, EventKind, NewEvent
from trustserver.storage.instants import (
    from_optional_seconds,
    from_seconds,
    to_optional_seconds,
    to_seconds,
)
from trustserver.storage.tables import CredentialChangesRow, CredentialRow, table_of

_CREDENTIAL = table_of(CredentialRow)
_CHANGES = table_of(CredentialChangesRow)
_KEY = ("kind", "name")


class SqlAccess:
    """The AccessStore on an engine from storage/database.py, whose schema must be at the newest revision."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def changes(self) -> int:
        with self._transaction() as connection:
            return int(connection.execute(select(_CHANGES.c.count)).scalar_one())

    def credentials(self) -> list[StoredCredential]:
        return [found for _, found in self._read() if found is not None]

    def unreadable(self) -> list[str]:
        return [f"{row.kind}:{row.name}" for row, found in self._read() if found is None]

    def _read(self) -> list[tuple[Row[Any], StoredCredential | None]]:
        with self._transaction() as connection:
            rows = connection.execute(select(_CREDENTIAL).order_by(_CREDENTIAL.c.kind, _CREDENTIAL.c.name)).all()
        return [(row, _readable(row)) for row in rows]

    def add(self, credential: StoredCredential, *, by: Actor) -> bool:
        with self._transaction(writes=True) as connection:
            of_name = select(_CREDENTIAL.c.id).where(*_named(credential.kind, credential.name))
            if connection.execute(of_name).first() is not None:
                return False
            connection.execute(insert(_CREDENTIAL).values(_row(credential)))
            add_event(connection, _event(AccessChange.ADDED, credential, credential.created, by))
            _count(connection)
        return True

    def put(self, credentials: Sequence[StoredCredential], *, by: Actor) -> None:
        with self._transaction(writes=True) as connection:
            for credential in credentials:
                row = _row(credential)
                living = select(_CREDENTIAL.c.id).where(*_living(credential.kind, credential.name))
                is_there = connection.execute(living).first() is not None
                others = {name: value for name, value in row.items() if name not in _KEY}
                stored = upsert(_CREDENTIAL).values(row)
                connection.execute(stored.on_conflict_do_update(index_elements=_KEY, set_=others))
                change = AccessChange.CHANGED if is_there else AccessChange.ADDED
                add_event(connection, _event(change, credential, credential.created, by))
            _count(connection)

    def end(self, kind: CredentialKind, name: str, at: datetime, *, by: Actor) -> bool:
        with self._transaction(writes=True) as connection:
            row = connection.execute(select(_CREDENTIAL).where(*_living(kind, name))).first()
            if row is None:
                return False
            connection.execute(update(_CREDENTIAL).where(_CREDENTIAL.c.id == row.id).values(ended=to_seconds(at)))
            add_event(connection, _event(AccessChange.ENDED, _credential(row), at, by))
            _count(connection)
        return True

    def change_secret(self, kind: CredentialKind, name: str, *, before: str, after: str) -> None:
        with self._transaction(writes=True) as connection:
            same = update(_CREDENTIAL).where(*_named(kind, name), _CREDENTIAL.c.secret == before)
            if connection.execute(same.values(secret=after)).rowcount:
                _count(connection)

    def note_rules(self, rules: CountingRules, at: datetime, *, by: Actor) -> bool:
        with self._transaction(writes=True) as connection:
            others = update(_CHANGES).where(_CHANGES.c.rules != rules.sha256).values(rules=rules.sha256)
            if not connection.execute(others).rowcount:
                return False
            details = {"change": AccessChange.RULES, "sha256": rules.sha256 or None, "rules": rules.count}
            add_event(connection, NewEvent(kind=EventKind.ACCESS, at=at, by=by, details={"access": details}))
        return True

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _transaction(self, *, writes: bool = False) -> Iterator[Connection]:
        try:
            with (
                self._engine.connect().execution_options(writes=writes) as connection,
                connection.begin(),
            ):
                yield connection
        except (SQLAlchemyError, sqlite3.Error) as error:
            # SQLAlchemy's own message has the values of the statement; the driver's has not.
            raise NotStored(reason=str(getattr(error, "orig", None) or type(error).__name__)) from error


def _named(kind: CredentialKind, name: str) -> tuple[Any, ...]:
    return _CREDENTIAL.c.kind == kind.value, _CREDENTIAL.c.name == name


def _living(kind: CredentialKind, name: str) -> tuple[Any, ...]:
    return *_named(kind, name), _CREDENTIAL.c.ended.is_(None)


def _event(change: AccessChange, credential: StoredCredential, at: datetime, by: Actor) -> NewEvent:
    """Return the event of a change of a credential. Whose it is stands beside the event, where it can be erased."""
    details: dict[str, object] = {"change": change, "credential": credential.kind}
    if change is not AccessChange.ENDED:
        details |= {"rights": credential.rights, "names": credential.names, "roles": credential.roles}
        details["expires"] = None if credential.expires is None else to_rfc3339(credential.expires)
    about = Actor(subject=f"{credential.kind}:{credential.name}", kind=credential.kind)
    return NewEvent(kind=EventKind.ACCESS, at=at, by=by, about=about, details={"access": details})


def _count(connection: Connection) -> None:
    connection.execute(update(_CHANGES).values(count=_CHANGES.c.count + 1))


def _row(credential: StoredCredential) -> dict[str, Any]:
    return {
        "kind": credential.kind.value,
        "name": credential.name,
        "secret": credential.secret,
        "created": to_seconds(credential.created),
        "expires": to_optional_seconds(credential.expires),
        "ended": to_optional_seconds(credential.ended),
        "rights": json.dumps(credential.rights),
        "names": json.dumps(credential.names),
        "roles": json.dumps(credential.roles),
    }


def _readable(row: Row[Any]) -> StoredCredential | None:
    """Return the credential of a row; None if it has something that this program has not written (SQLite takes all)."""
    try:
        return _credential(row)
    except (ValueError, TypeError, OverflowError, OSError):
        return None


def _credential(row: Row[Any]) -> StoredCredential:
    """Return the credential of a row. Raises: ValueError, TypeError; OverflowError, OSError (times beyond all)."""
    return StoredCredential(
        kind=CredentialKind(row.kind),
        name=_text(row.name),
        secret=_text(row.secret),
        created=from_seconds(row.created),
        expires=from_optional_seconds(row.expires),
        ended=from_optional_seconds(row.ended),
        rights=_texts(row.rights),
        names=_texts(row.names),
        roles=_texts(row.roles),
    )


def _texts(stored: str) -> tuple[str, ...]:
    found = json.loads(stored)
    if not isinstance(found, list):
        raise TypeError("it is no list")
    return tuple(map(_text, found))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("it is no text")
    return value
