"""Opening databases: durable settings, migrations that match the tables, other databases refused in words."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, event, text

from tests.support.store_values import AT
from trustdata.gun import GUN
from trustdata.roles import ROOT
from trustserver.errors import StartRefused
from trustserver.settings import Settings
from trustserver.storage.database import NEWEST_SCHEMA, migrate, open_engine, quick_check, schema
from trustserver.storage.events import Actor, EventKind, NewEvent
from trustserver.storage.opening import existing_store, open_store
from trustserver.storage.sql import SqlStore
from trustserver.storage.tables import METADATA


def test_migrations_make_exactly_the_tables(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'trust.db'}")
    assert schema(engine) == ""
    assert migrate(engine, to=NEWEST_SCHEMA) == NEWEST_SCHEMA == schema(engine)
    assert migrate(engine, to=NEWEST_SCHEMA) == migrate(engine) == NEWEST_SCHEMA
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA) == []
    assert quick_check(engine) == "ok"
    engine.dispose()


def description(engine: Engine) -> dict[str, object]:
    """Everything that SQLite knows of the tables, but for the order of their columns, and their rows."""
    found: dict[str, object] = {}
    with engine.connect() as connection:

        def ask(statement: str) -> list[tuple[object, ...]]:
            return [tuple(row) for row in connection.exec_driver_sql(statement)]

        listed = ask("SELECT type, name, tbl_name FROM sqlite_master ORDER BY name")
        found["all"] = [row for row in listed if "autoindex" not in str(row[1])]
        for name in (row[1] for row in listed if row[0] == "table"):
            columns = sorted((row[1:] for row in ask(f"PRAGMA table_xinfo({name})")), key=str)
            found[f"{name}, columns"] = columns
            found[f"{name}, references"] = sorted((row[2:] for row in ask(f"PRAGMA foreign_key_list({name})")), key=str)
            indexes = [
                (row[2:], [part[2:] for part in ask(f"PRAGMA index_xinfo({row[1]})")])
                for row in ask(f"PRAGMA index_list({name})")
            ]
            found[f"{name}, indexes"] = sorted(indexes, key=str)
            found[f"{name}, rows"] = ask(f"SELECT {', '.join(str(column[0]) for column in columns)} FROM {name}")
    return found


def test_an_empty_database_gets_at_once_what_all_migrations_make(tmp_path: Path) -> None:
    made, migrated = (open_engine(f"sqlite:///{tmp_path / name}") for name in ("made.db", "migrated.db"))
    assert migrate(made) == migrate(migrated, to=NEWEST_SCHEMA) == NEWEST_SCHEMA
    assert description(made) == description(migrated)
    assert migrate(made) == NEWEST_SCHEMA
    for engine in (made, migrated):
        engine.dispose()


def test_tables_of_somebody_else_are_no_empty_database(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'trust.db'}")
    with engine.connect() as connection, connection.begin():
        connection.execute(text("CREATE TABLE collection (x)"))
    with pytest.raises(StartRefused, match="cannot be opened: table collection already exists"):
        migrate(engine)
    assert schema(engine) == ""
    engine.dispose()


def test_every_connection_is_durable_and_keeps_references(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'trust.db'}")
    with engine.connect() as one, engine.connect() as two:
        for connection in (one, two):
            found = {
                name: connection.execute(text(f"PRAGMA {name}")).scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
            }
            assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 2}
    engine.dispose()


def test_who_is_erased_is_not_in_the_file_any_more(tmp_path: Path) -> None:
    """Whole pages of the file are about one person here: SQLite would leave them as they are until it needs them."""
    settings = Settings(data=tmp_path)
    person, other = (Actor(subject=f"user:{name}", kind="user", client="c" * 200) for name in ("mallory", "operator"))
    store = open_store(settings)
    for _ in range(200):
        store.record(NewEvent(kind=EventKind.ACCESS, at=AT, by=person))
    store.close()
    assert (tmp_path / "trust.db").read_bytes().count(b"user:mallory") >= 200
    store = existing_store(settings)
    assert store.erase_people("user:mallory", stored="user:mallory", by=other, at=AT) == 200
    assert store.erase_people("user:nobody", stored="user:nobody", by=other, at=AT) == 0
    store.close()
    assert [file.name for file in tmp_path.glob("*.db*") if b"user:mallory" in file.read_bytes()] == []


def test_a_database_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'trust.db'}")
    migrate(engine)
    with engine.connect() as connection, connection.begin():
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StartRefused, match="newer"):
        migrate(engine)
    engine.dispose()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "trust.db").write_bytes(b"no database at all" * 100)
    engine = open_engine(f"sqlite:///{tmp_path / 'trust.db'}")
    with pytest.raises(StartRefused):
        migrate(engine)
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://db/trust", "PostgreSQL comes with replicas"),
        ("postgresql+psycopg://u:secret@db/trust", "PostgreSQL comes with replicas"),
        ("mysql://db/trust", "only SQLite"),
        ("sqlite+aiosqlite:///x", "only SQLite"),
        ("sqlite://", "needs a file"),
        ("nonsense", "not a database URL"),
    ],
)
def test_other_databases_are_refused_in_words(url: str, said: str) -> None:
    with pytest.raises(StartRefused, match=said) as refused:
        open_engine(url)
    assert "secret" not in str(refused.value)


def test_a_database_of_the_first_schema_keeps_its_files(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'trust.db'}")
    migrate(engine, to="0001")
    with engine.connect() as connection, connection.begin():
        connection.execute(
            text(
                "INSERT INTO collection (id, gun, format, status, revision, deleted_root, deleted_versions, deleted_by)"
                " VALUES (1, 'registry.example.com/app', 'tuf-1.0', 'live', 1, '', '{}', '')"
            )
        )
        connection.execute(
            text(
                "INSERT INTO file (id, collection_id, role, version, sha256, expires, raw)"
                " VALUES (1, 1, 'root', 1, :sha256, 0, :raw)"
            ),
            {"sha256": "ab" * 32, "raw": b"root"},
        )
    migrate(engine)
    found = SqlStore(engine).file_by_hash(GUN("registry.example.com/app"), ROOT, "ab" * 32)
    assert found is not None
    assert (found.raw, found.stored_at) == (b"root", None)
    engine.dispose()


def test_a_file_is_found_by_its_hash_through_an_index(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'trust.db'}")
    migrate(engine)
    asked: list[str] = []
    event.listen(engine, "checkout", lambda driver, *_: driver.set_trace_callback(asked.append))
    SqlStore(engine).file_by_hash(GUN("registry.example.com/app"), ROOT, "ab" * 32, wire="notary-v1")
    (statement,) = (sql for sql in asked if "sha256 = " in sql)
    with engine.connect() as connection:
        plan = " ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}"))
    assert "ix_file_sha256" in plan
    assert "SCAN" not in plan
    engine.dispose()


def test_when_versions_were_stored_is_read_without_their_files(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'trust.db'}")
    migrate(engine)
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    assert SqlStore(engine).versions(GUN("registry.example.com/app")) == ()
    statement = next(sql for sql in asked if "stored_at" in sql)
    with engine.connect() as connection:
        plan = " ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", ("x",)))
    assert "file USING COVERING INDEX ix_file_stored_at" in plan
    assert "SCAN" not in plan
    engine.dispose()


@pytest.mark.parametrize(
    ("revision", "said"),
    [("0001", "is an older one; run trust-server migrate"), ("9999", "a newer version of this program; use that one")],
)
def test_who_only_reads_says_which_program_is_the_older_one(tmp_path: Path, revision: str, said: str) -> None:
    settings = Settings(data=tmp_path)
    open_store(settings).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "trust.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [revision])
    with pytest.raises(StartRefused, match=said):
        existing_store(settings)
