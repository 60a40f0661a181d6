"""Open the data folder, database, seal key and published log that the settings name; keep out a second server."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from keys.durable_file import make_private_folder
from keys.file_access import unguarded
from trustdata.counting import counted
from trustserver.errors import DatabaseOlder, StartRefused
from trustserver.process.lock import Holder, ServerLock, hold
from trustserver.settings import Settings
from trustserver.storage.access_port import AccessStore
from trustserver.storage.access_rows import SqlAccess
from trustserver.storage.database import (
    NEWEST_SCHEMA,
    migrate,
    open_engine,
    reason_of_other_schema,
    schema,
    sqlite_file,
)
from trustserver.storage.exchange_port import ExchangeStore
from trustserver.storage.exchange_rows import SqlExchanges
from trustserver.storage.key_port import ServerKeyStore
from trustserver.storage.key_rows import SqlServerKeys
from trustserver.storage.ports import KeySealer, MetadataStore
from trustserver.storage.published_log import PublishedLogFile, find_outdated, merge_stored
from trustserver.storage.sealed_keys import SealedKeys, open_seal
from trustserver.storage.sql import SqlStore

_ANY_FILE: Final = "trust.db"
"""Stands for everything in the data folder."""

_log = logging.getLogger(__name__)


def open_store(settings: Settings) -> MetadataStore:
    """Open the store that the settings name, and bring its schema to the newest revision.

    Raises: StartRefused if the folder or database cannot be made or opened.
    """
    make_data_folder(settings.data)
    _check_guarded(sqlite_file(settings.database_url))
    engine = open_engine(settings.database_url)
    with _closed_on_failure(engine):
        migrate(engine)
    return SqlStore(engine)


def existing_store(settings: Settings) -> MetadataStore:
    """Open the store without making or migrating anything. A server may be using it.

    Raises: StartRefused if there is no database, or its schema is not the newest.
    """
    return SqlStore(_existing_engine(settings))


def open_access(settings: Settings) -> AccessStore:
    """Open the credentials of a database that `open_store` has brought to the newest schema."""
    return SqlAccess(open_engine(settings.database_url))


def open_exchanges(settings: Settings) -> ExchangeStore:
    """Open the exchanged tokens of a database that `open_store` has brought to the newest schema."""
    return SqlExchanges(open_engine(settings.database_url))


def open_server_keys(settings: Settings) -> ServerKeyStore:
    """Open what is stored about server-held keys, of a database that has the newest schema."""
    return SqlServerKeys(open_engine(settings.database_url))


def existing_access(settings: Settings) -> AccessStore:
    """Open the credentials without making or migrating anything. A server may be using them.

    Raises: StartRefused if there is no database, or its schema is not the newest.
    """
    return SqlAccess(_existing_engine(settings))


def has_credentials(settings: Settings) -> bool:
    """Return whether the database has credentials, or had any. It is neither made nor migrated.

    Raises: StartRefused (it cannot be opened), NotStored.
    """
    if not settings.database and not (settings.data / _ANY_FILE).exists():
        return False
    file = sqlite_file(settings.database_url)
    if not file.exists():
        return False
    _check_guarded(file)
    engine = open_engine(settings.database_url)
    try:
        if schema(engine) != NEWEST_SCHEMA:
            return False
        access = SqlAccess(engine)
        return bool(access.credentials() or access.unreadable())
    finally:
        engine.dispose()


def _existing_engine(settings: Settings) -> Engine:
    if not settings.database and not (settings.data / "trust.db").exists():
        reason = "there is no database; `trust-server serve` makes one, and --data names a folder that has one"
        raise StartRefused(what=str(settings.data), reason=reason)
    _check_guarded(sqlite_file(settings.database_url))
    engine = open_engine(settings.database_url)
    with _closed_on_failure(engine):
        if schema(engine) != NEWEST_SCHEMA:
            raise StartRefused(what="database", reason=reason_of_other_schema(engine))
    return engine


@contextmanager
def _closed_on_failure(engine: Engine) -> Iterator[None]:
    """Close the engine's connections if the block raises. After it, the store that has the engine closes them."""
    try:
        yield
    except BaseException:
        engine.dispose()
        raise


def open_sealer(settings: Settings, store: MetadataStore) -> SealedKeys:
    """Return the sealer that the store's keys were sealed with.

    Raises: StartRefused if a seal key is missing, cannot be read, or is not one of those that were used; NotStored.
    """
    sealer = open_seal(
        store,
        settings.seal_file,
        may_create=settings.seal_key is None,
        platform_secrets=settings.platform_secrets,
        next_path=settings.next_seal_key,
    )
    keys = open_server_keys(settings)
    try:
        others = sum(count for mark, count in keys.seals().items() if mark not in {"", *sealer.marks})
    finally:
        keys.close()
    if others:
        reason = f"{counted(others, 'stored key')} sealed with another seal key: trust-server seal rotate was begun"
        raise StartRefused(what=str(settings.seal_file), reason=f"{reason}; name that one with --next-seal-key")
    return sealer


def database_mark(settings: Settings, sealer: KeySealer) -> str:
    """Return by what the database is known to what lies beside it: the mark of its first seal key."""
    keys = open_server_keys(settings)
    try:
        return keys.marks().first or sealer.mark
    finally:
        keys.close()


def open_published_log(settings: Settings, store: MetadataStore, sealer: KeySealer) -> PublishedLogFile:
    """Open the published log and compare the database with it. A log of another database is begun anew.

    Raises: DatabaseOlder if more was published than the database holds; FileNewer if a newer program has written the
    log; NotStored if the database cannot be read.
    """
    published_log = PublishedLogFile(settings.witness_file, mark=database_mark(settings, sealer))
    logged = published_log.load()
    stored = store.collections()
    outdated = find_outdated(logged or {}, stored)
    if outdated:
        raise DatabaseOlder(what=str(sqlite_file(settings.database_url)), count=len(outdated), example=outdated[0].gun)
    if logged is None and settings.witness_file.exists():
        _log.warning("the witness is of another database, or damaged: it begins anew")
    try:
        published_log.rewrite(merge_stored(logged or {}, stored))
    except OSError as error:
        # The server starts without the log. The disk is probably full, and then reads must go on.
        _log.error("no witness of what is published is kept", extra={"reason": str(error.strerror)})
    return published_log


def make_data_folder(folder: Path) -> None:
    """Make the data folder if it is not there. Raises: StartRefused if it cannot be made, or others may change it."""
    try:
        make_private_folder(folder.absolute())
    except OSError as error:
        raise StartRefused(what=str(folder), reason=f"cannot be made: {error.strerror}") from error
    _check_guarded(folder.absolute() / _ANY_FILE)


def _check_guarded(file: Path) -> None:
    """Check that nobody else may change a file, or put one in its place or beside it. Raises: StartRefused.

    Beside it, because SQLite believes the journal that it finds there by name.
    """
    try:
        exposed = unguarded(file, folder_is_its_own=True)
    except OSError as error:
        raise StartRefused(what=str(file), reason=f"cannot be read: {error.strerror}") from error
    if exposed is not None:
        raise StartRefused(what=exposed.path, reason=exposed.refusal)


@contextmanager
def exclusive_use(settings: Settings, *, at: datetime, listen: str) -> Iterator[ExclusiveUse]:
    """Lock the data folder and the database until the end of the block, so that no second server uses them.

    A second server would not learn of the first one's changes and would serve outdated responses from its cache.
    `at` and `listen` tell the operator of the other server who holds the lock: since when, and the address or, before
    it is known, what this process does. Raises: ServerRunning, StartRefused.
    """
    make_data_folder(settings.data)
    file = sqlite_file(settings.database_url)
    with (
        hold(settings.data / "server.lock", what=str(settings.data)) as folder,
        # Two servers may have different data folders and the same database.
        hold(file.with_name(f"{file.name}.lock"), what=str(file)) as database,
    ):
        use = ExclusiveUse((folder, database), at)
        use.write_holder(listen)
        yield use


class ExclusiveUse:
    """The locks of this process on its data folder and database."""

    def __init__(self, locks: Sequence[ServerLock], since: datetime) -> None:
        self._locks = tuple(locks)
        self._since = since

    def write_holder(self, listen: str) -> None:
        """Write into the lock files that this process holds them. `listen`: its address."""
        holder = Holder.this_process(at=self._since, listen=listen)
        for lock in self._locks:
            lock.write_holder(holder)

    def crashed_holder(self) -> Holder | None:
        """Return the holder on another host that did not stop properly; None if there was none.

        A lock may not reach across hosts (some network file systems), so that server may still be running.
        """
        here = socket.gethostname()
        holders = (lock.crashed_holder for lock in self._locks)
        return next((holder for holder in holders if holder and holder.host != here), None)
