"""Opening the database: which URLs, which promises of durability, and bringing its schema to the newest."""

from __future__ import annotations

from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from trustserver.errors import StartRefused

POOL_SIZE: Final = 8
BUSY_SECONDS: Final = 10
"""How long a writer waits for another process (an operator's command) before it gives up."""

_DURABLE: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # in WAL mode NORMAL would lose the newest commits at a power cut
    "PRAGMA foreign_keys=ON",
    f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}",
)
_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def open_engine(url: str) -> Engine:
    """An engine with a pool of fixed size. Raises: StartRefused for what is not SQLite."""
    sqlite_file(url)
    engine = create_engine(
        url, pool_size=POOL_SIZE, max_overflow=0, connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS}
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def sqlite_file(url: str) -> Path:
    """The file that a database URL names, links resolved; its folder is made. Raises: StartRefused."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StartRefused(what="database", reason="is not a database URL; use sqlite:///PATH") from error
    if parsed.get_backend_name() == "postgresql":
        raise StartRefused(what="database", reason="PostgreSQL comes with replicas; use sqlite:///PATH for now")
    if parsed.get_backend_name() != "sqlite" or parsed.get_driver_name() != "pysqlite":
        raise StartRefused(what="database", reason="only SQLite is supported; use sqlite:///PATH")
    if not parsed.database or parsed.database == ":memory:":
        raise StartRefused(what="database", reason="SQLite needs a file: sqlite:///PATH")
    if parsed.database.startswith("file:"):
        raise StartRefused(what="database", reason="SQLite's file: URIs are not supported; use sqlite:///PATH")
    file = Path(parsed.database).resolve()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartRefused(what=str(file.parent), reason=f"cannot be made: {error.strerror}") from error
    return file


def migrate(engine: Engine, *, to: str = "head") -> str:
    """Bring the schema to the newest revision (or up to one), which is returned. Raises: StartRefused."""
    configuration = _configuration()
    try:
        with engine.connect() as connection, connection.begin():
            configuration.attributes["connection"] = connection
            command.upgrade(configuration, to)
        return schema(engine)
    except CommandError as error:
        reason = "was written by a newer version of this program; use that one"
        raise StartRefused(what="database", reason=reason) from error
    except SQLAlchemyError as error:
        raise StartRefused(what="database", reason=f"cannot be opened: {_said(error)}") from error


def schema(engine: Engine) -> str:
    """The schema's revision; empty for a database without one. Raises: StartRefused."""
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision() or ""
    except SQLAlchemyError as error:
        raise StartRefused(what="database", reason=f"cannot be opened: {_said(error)}") from error


def newest_schema() -> str:
    """The revision that this program wants."""
    return ScriptDirectory.from_config(_configuration()).get_current_head() or ""


def quick_check(engine: Engine) -> str:
    """SQLite's own verdict on its file: `ok`, or what is broken. Raises: StartRefused."""
    try:
        with engine.connect() as connection:
            return str(connection.execute(text("PRAGMA quick_check(1)")).scalar())
    except SQLAlchemyError as error:
        raise StartRefused(what="database", reason=f"cannot be opened: {_said(error)}") from error


def _said(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or type(error).__name__)


def _configuration() -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    configuration.set_main_option("path_separator", "os")
    return configuration


def _prepare(dbapi: SqliteConnection, _entry: ConnectionPoolEntry) -> None:
    # Without this the driver opens transactions by itself, and too late: a reader could not see one state.
    dbapi.isolation_level = None
    for statement in _DURABLE:
        dbapi.execute(statement)


def _begin(connection: Connection) -> None:
    # A writer takes its lock at once: a transaction that reads first and writes later can fail in the middle.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
