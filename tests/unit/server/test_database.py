"""Opening databases: durable settings, migrations that match the tables, other databases refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from trustserver.errors import StartRefused
from trustserver.storage.database import migrate, newest_schema, open_engine, quick_check, schema
from trustserver.storage.tables import METADATA


def test_migrations_make_exactly_the_tables(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'trust.db'}")
    assert schema(engine) == ""
    assert migrate(engine) == newest_schema() == schema(engine)
    assert migrate(engine) == newest_schema()
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA) == []
    assert quick_check(engine) == "ok"
    engine.dispose()


def test_every_connection_is_durable_and_keeps_references(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'trust.db'}")
    with engine.connect() as one, engine.connect() as two:
        for connection in (one, two):
            found = {
                name: connection.execute(text(f"PRAGMA {name}")).scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            }
            assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    engine.dispose()


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
