"""One row asked for by the driver itself: the same errors as elsewhere, nothing left behind, no row chosen of two."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.pool import QueuePool

from tests.support.server_site import GUN_A, Site
from trustdata.errors import NotStored
from trustdata.roles import ROOT, TARGETS, TIMESTAMP
from trustserver.errors import DiskFull
from trustserver.settings import Settings
from trustserver.storage import statements
from trustserver.storage.lookups import Lookup
from trustserver.storage.opening import open_store
from trustserver.storage.sql import SqlStore

HASH = "ab" * 32


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    with contextlib.closing(open_store(Settings(data=tmp_path))) as opened:
        Site(opened).begin()
        yield cast("SqlStore", opened)


def asked_in_every_way(store: SqlStore) -> list[Any]:
    return [
        lambda: store.file(GUN_A, ROOT, 1),
        lambda: store.file_by_hash(GUN_A, ROOT, HASH),
        lambda: store.current(GUN_A, TARGETS),
        lambda: store.current_timestamp(GUN_A),
    ]


def execute(store: SqlStore, *sql: str) -> None:
    with store._engine.connect() as connection, connection.begin():
        for statement in sql:
            connection.execute(text(statement))


def test_of_two_rows_none_is_chosen(store: SqlStore) -> None:
    execute(store, f"UPDATE file SET sha256 = '{HASH}' WHERE role = 'root'")
    assert store.file_by_hash(GUN_A, ROOT, HASH) is not None
    execute(
        store,
        "INSERT INTO file (collection_id, role, version, sha256, expires, raw) "
        "SELECT collection_id, role, 7, sha256, expires, x'00' FROM file WHERE role = 'root'",
    )
    with pytest.raises(NotStored, match="MultipleResultsFound"):
        store.file_by_hash(GUN_A, ROOT, HASH)


def test_a_database_that_fails_is_an_error_in_its_own_words_and_without_the_statement(store: SqlStore) -> None:
    execute(store, "PRAGMA foreign_keys=OFF", "ALTER TABLE file RENAME TO away")
    for ask in asked_in_every_way(store):
        with pytest.raises(NotStored, match="no such table: file") as refused:
            ask()
        assert "SELECT" not in str(refused.value)
        assert GUN_A not in str(refused.value)
    assert checked_out(store._engine) == 0


@pytest.mark.parametrize(("code", "said"), [(sqlite3.SQLITE_FULL, DiskFull), (sqlite3.SQLITE_CORRUPT, NotStored)])
def test_a_full_disk_has_a_name_of_its_own(
    store: SqlStore, code: int, said: type[NotStored], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shared memory file of a new connection needs room, even for a reader."""
    error = sqlite3.OperationalError("the database's words")
    error.sqlite_errorcode = code

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(store._engine, "raw_connection", fail)
    for ask in asked_in_every_way(store):
        with pytest.raises(NotStored) as refused:
            ask()
        assert type(refused.value) is said
        assert said is DiskFull or "the database's words" in str(refused.value)


def test_a_value_that_is_missing_is_no_null(store: SqlStore) -> None:
    lookup = Lookup(store._engine, statements.NEWEST)
    assert lookup.find({"of_gun": GUN_A, "of_role": str(TIMESTAMP), "of_format": ""}) is not None
    with pytest.raises(KeyError, match="of_role"):
        lookup.find({"of_gun": GUN_A, "of_format": ""})
    assert checked_out(store._engine) == 0


def test_nothing_is_held_after_a_read(store: SqlStore) -> None:
    for ask in asked_in_every_way(store):
        ask()
    assert checked_out(store._engine) == 0
    execute(store, "UPDATE collection SET created_by = 'somebody'")
    with store._engine.connect() as connection:
        busy, _, _ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
    assert busy == 0, "a reader would keep the log of writes from being emptied"


def checked_out(engine: Engine) -> int:
    return cast("QueuePool", engine.pool).checkedout()
