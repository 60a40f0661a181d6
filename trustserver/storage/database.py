"""Open the database, make its commits durable, and bring its schema to the newest revision."""

from __future__ import annotations

from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import TYPE_CHECKING, Final

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from trustserver.errors import StartRefused

if TYPE_CHECKING:
    from alembic.config import Config

NEWEST_SCHEMA: Final = "0011"
"""The schema revision that this version of the program needs: the last of `migrations/versions`."""
POOL_SIZE: Final = 12
"""As many as there are threads that use the database: eight for requests, four that check uploads."""
BUSY_SECONDS: Final = 10
"""How long a writer waits for another process, such as an operator's command, before it fails."""

_DURABLE: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # with NORMAL, WAL mode loses the newest commits at a power cut
    "PRAGMA foreign_keys=ON",
    # What is deleted is overwritten in pages that are written anyway. Where Debian's default overwrites all of it, each
    # superseded version is written once more. What is to be erased is overwritten everywhere (SqlStore.erase_people).
    "PRAGMA secure_delete=FAST",
    f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}",
)
_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_NEWER: Final = "was written by a newer version of this program; use that one"


def open_engine(url: str) -> Engine:
    """Make a database engine with POOL_SIZE connections. Raises: StartRefused if the URL names no SQLite file."""
    sqlite_file(url)
    engine = create_engine(
        url, pool_size=POOL_SIZE, max_overflow=0, connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS}
    )
    event.listen(engine, "connect", _configure_connection)
    event.listen(engine, "begin", _begin)
    return engine


def sqlite_file(url: str) -> Path:
    """Return the file that a database URL names, with symbolic links resolved. Its folder is made if need be.

    Raises: StartRefused if the URL names no SQLite file, or the folder cannot be made.
    """
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
    """Bring the schema to the newest revision, or to the revision `to`, and return the revision that it then has.

    An empty database gets the newest tables at once; a test compares them with what all migrations make. Raises:
    StartRefused if the database cannot be opened, or was written by a newer version of this program.
    """
    if to == "head" and (schema(engine) == NEWEST_SCHEMA or _made(engine)):
        return NEWEST_SCHEMA
    # Loading alembic takes longer than everything else that the server does at its start.
    from alembic import command
    from alembic.util.exc import CommandError

    configuration = _configuration()
    try:
        with engine.connect() as connection, connection.begin():
            configuration.attributes["connection"] = connection
            command.upgrade(configuration, to)
        return schema(engine)
    except CommandError as error:
        raise StartRefused(what="database", reason=_NEWER) from error
    except SQLAlchemyError as error:
        raise StartRefused(what="database", reason=f"cannot be opened: {_driver_message(error)}") from error


def _made(engine: Engine) -> bool:
    """Make the newest tables and their first rows. Return False if the database is not empty. Raises: StartRefused."""
    from trustserver.storage.tables import FIRST_ROWS, METADATA, table_of

    try:
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            if inspect(connection).get_table_names():
                return False
            METADATA.create_all(connection, checkfirst=False)
            for model, row in FIRST_ROWS:
                connection.execute(table_of(model).insert().values(row))
            version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
            version.create(connection)
            connection.execute(version.insert().values(version_num=NEWEST_SCHEMA))
    except SQLAlchemyError as error:
        raise StartRefused(what="database", reason=f"cannot be opened: {_driver_message(error)}") from error
    return True


def schema(engine: Engine) -> str:
    """Return the revision of the schema; empty if the database has no schema yet.

    Raises: StartRefused if it cannot be opened.
    """
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return ""
            return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")
    except SQLAlchemyError as error:
        raise StartRefused(what="database", reason=f"cannot be opened: {_driver_message(error)}") from error


def reason_of_other_schema(engine: Engine) -> str:
    """Return why a database is not used whose schema is not the newest one. Raises: StartRefused."""
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(_configuration()).walk_revisions()}
    return "its schema is an older one; run trust-server migrate" if schema(engine) in {"", *known} else _NEWER


def quick_check(engine: Engine) -> str:
    """Let SQLite check its file. Return `ok`, or what is broken. Raises: StartRefused if it cannot be opened."""
    try:
        with engine.connect() as connection:
            return str(connection.execute(text("PRAGMA quick_check(1)")).scalar())
    except SQLAlchemyError as error:
        raise StartRefused(what="database", reason=f"cannot be opened: {_driver_message(error)}") from error


def _driver_message(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or type(error).__name__)


def _configuration() -> Config:
    from alembic.config import Config

    configuration = Config()
    configuration.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    configuration.set_main_option("path_separator", "os")
    return configuration


def _configure_connection(dbapi: SqliteConnection, _entry: ConnectionPoolEntry) -> None:
    # Otherwise the driver begins transactions itself, and only before a write: two reads could see different states.
    dbapi.isolation_level = None
    for statement in _DURABLE:
        dbapi.execute(statement)


def _begin(connection: Connection) -> None:
    # A writing transaction takes the lock at its beginning. One that takes it after its first read can fail, because
    # somebody else has written in between.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
