"""Know which manifests name which digests, on disk, so that what belongs to a signed digest is found again.

What is stored is no decision: that a manifest names a digest is a fact about its bytes, which were hashed. Whether the
manifest is signed is decided at each request. Under which tags a manifest was handed out is stored, too, since a rule
may be about tags; the tag is judged again each time.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from trustcli.errors import SettingsUnusable
from trustcli.guarded_files import check_guarded
from trustcli.hooks.proxy.manifest_children import Named
from trustdata.digest import hex_of
from trustdata.errors import TrustError

_log = logging.getLogger(__name__)
MAX_MANIFESTS: Final = 50_000
"""Manifests that are known at one time; a tenth is forgotten when there are more, those first that came first."""
_MOST_TAGS: Final = 16
"""How many tags are remembered of one manifest in one repository."""
_MOST_PAGES: Final = 65_536
"""Pages of 4 KiB: whatever manifests name, the file stays below 256 MiB."""
_MOST_PAGES_IN_MEMORY: Final = 16_384
"""Where no file can be written: 64 MiB."""
_MOST_STORED: Final = 4096
"""Manifests of repositories of which this process knows by itself that they are stored."""
_VERSION: Final = 2
"""Version 1 knows referrers that engines might run."""
_BLOB, _MANIFEST, _INDEX, _REFERRER = range(4)
"""What a manifest names; a referrer is named by nothing in it: its own bytes say what it is about."""
_TABLES: Final = """
CREATE TABLE manifest (number INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE);
CREATE TABLE names (child BLOB NOT NULL, parent INTEGER NOT NULL, kind INTEGER NOT NULL,
                    PRIMARY KEY (child, parent)) WITHOUT ROWID;
CREATE INDEX names_of ON names (parent);
CREATE TABLE seen (repository TEXT NOT NULL, manifest INTEGER NOT NULL, tag TEXT NOT NULL,
                   PRIMARY KEY (repository, manifest, tag)) WITHOUT ROWID;
CREATE INDEX seen_of ON seen (manifest);
PRAGMA user_version = 2;
"""
_SEEN: Final = "FROM seen JOIN manifest ON number = manifest WHERE repository = ? AND digest = ?"
_ABOVE: Final = """
WITH RECURSIVE above (number, digest) AS (
    SELECT manifest.number, manifest.digest FROM names JOIN manifest ON manifest.number = names.parent
        WHERE names.child = :digest AND names.kind BETWEEN :least AND :most_kind
        AND EXISTS (SELECT 1 FROM seen WHERE seen.repository = :repository AND seen.manifest = manifest.number)
        AND {open}
    UNION
    SELECT manifest.number, manifest.digest FROM above JOIN names ON names.child = above.digest
        JOIN manifest ON manifest.number = names.parent
        WHERE names.kind BETWEEN :manifest AND :most_kind
        AND EXISTS (SELECT 1 FROM seen WHERE seen.repository = :repository AND seen.manifest = manifest.number)
        AND {open}
) SELECT digest FROM above LIMIT :most
"""


class ReachabilityIndex:
    """Which manifests name which digests. Safe for threads and for several processes; it never raises after the start.

    A damaged file is thrown away: what it knew is found again by looking at the signed images.
    """

    def __init__(self, folder: Path, *, most: int = MAX_MANIFESTS) -> None:
        """Open the index in a folder of its own, which is made. Raises: SettingsUnusable (it cannot be written)."""
        self._file = folder / "reachable.db"
        self._most = most
        self._lock = threading.RLock()
        self._stored: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        """What was stored lately, by repository, digest and tag, so that it is not looked for each time."""
        self._times_forgotten = 0
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise SettingsUnusable(place=str(folder), reason=error.strerror or "cannot be made") from error
        self._database = self._opened()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    @property
    def generation(self) -> tuple[int, int]:
        """What is another one once something may have been forgotten, or another process has changed the file."""
        rows = self._rows("PRAGMA data_version", ())
        return self._times_forgotten, int(rows[0][0]) if rows else -1

    def add(self, repository: str, digest: str, named: Named, *, tag: str = "") -> None:
        """Store what a manifest names, and that a repository has it; with the tag under which it was handed out."""
        place = repository, digest, tag
        with self._lock, self._forgiving():
            if place in self._stored:
                return
            raw = _raw(digest)
            query = (
                "SELECT 1 FROM seen JOIN manifest ON number = manifest WHERE repository = ? AND digest = ? AND tag = ?"
            )
            if self._database.execute(query, (repository, raw, tag)).fetchone():
                self._note(place)
                return
            rows = [(_raw(child), _INDEX if child in named.indexes else _MANIFEST) for child in named.manifests]
            rows += [(_raw(child), _BLOB) for child in named.blobs]
            with self._database as database:
                database.execute("INSERT OR IGNORE INTO manifest (digest) VALUES (?)", (raw,))
                (number,) = database.execute("SELECT number FROM manifest WHERE digest = ?", (raw,)).fetchone()
                database.executemany(
                    "INSERT OR IGNORE INTO names VALUES (?, ?, ?)", [(child, number, kind) for child, kind in rows]
                )
                (tags,) = database.execute(
                    "SELECT count(*) FROM seen WHERE repository = ? AND manifest = ?", (repository, number)
                ).fetchone()
                if tags < _MOST_TAGS:
                    database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (repository, number, tag))
            self._note(place)
            self._shrink()

    def _note(self, place: tuple[str, str, str]) -> None:
        self._stored[place] = None
        if len(self._stored) > _MOST_STORED:
            self._stored.popitem(last=False)

    def add_referrer(self, subject: str, digest: str) -> None:
        """Store that a manifest is about another one, which is stored already."""
        with self._lock, self._forgiving(), self._database as database:
            query = "INSERT OR IGNORE INTO names SELECT ?, number, ? FROM manifest WHERE digest = ?"
            database.execute(query, (_raw(digest), _REFERRER, _raw(subject)))

    def above(
        self,
        repository: str,
        digest: str,
        *,
        most: int,
        is_blob: bool = True,
        referrers: bool = False,
        closed: Collection[str] = (),
    ) -> list[str]:
        """Return manifests of a repository that name a digest, and those that name these: the nearest first.

        `is_blob`: what it is asked for as. A manifest counts as named only where it is listed as one: a blob may have
        the bytes of a manifest, too. `referrers`: whether a manifest also counts as named by the one that it is about.
        `closed`: manifests that are left out, with what is named through them alone.
        """
        values = {"repository": repository, "digest": _raw(digest), "most": most, "manifest": _MANIFEST}
        values |= {"least": _BLOB if is_blob else _MANIFEST, "most_kind": _REFERRER if referrers else _INDEX}
        left_out = {f"closed{number}": _raw(each) for number, each in enumerate(closed)}
        is_open = f"manifest.digest NOT IN ({', '.join(f':{name}' for name in left_out)})"
        found = self._rows(_ABOVE.format(open=is_open), values | left_out)
        return [f"sha256:{raw.hex()}" for (raw,) in found]

    def manifests_in(self, repository: str, digest: str, *, indexes_only: bool = False) -> list[str] | None:
        """Return the manifests that one of a repository names; None if it is not known what it names."""
        found = self._rows(f"SELECT number {_SEEN} LIMIT 1", (repository, _raw(digest)))
        if not found:
            with self._lock:  # another process may have forgotten it
                self._stored.pop((repository, digest, ""), None)
            return None
        least = _INDEX if indexes_only else _MANIFEST
        rows = self._rows(
            "SELECT child FROM names WHERE parent = ? AND kind BETWEEN ? AND ?", (*found[0], least, _INDEX)
        )
        return [f"sha256:{raw.hex()}" for (raw,) in rows]

    def tags_of(self, repository: str, digest: str) -> list[str]:
        """Return the tags under which a manifest of a repository was handed out."""
        query = (
            "SELECT tag FROM seen JOIN manifest ON number = manifest WHERE repository = ? AND digest = ? AND tag != ''"
        )
        return [str(tag) for (tag,) in self._rows(query, (repository, _raw(digest)))]

    def _rows(self, query: str, values: Sequence[object] | Mapping[str, object]) -> list[tuple[Any]]:
        with self._lock, self._forgiving():
            return self._database.execute(query, values).fetchall()
        return []

    def _shrink(self) -> None:
        (first, last) = self._database.execute("SELECT min(number), max(number) FROM manifest").fetchone()
        if last is None or last - first < self._most:
            return
        self._stored.clear()
        self._times_forgotten += 1
        until = first + (last - first) - self._most + self._most // 10
        with self._database as database:
            database.execute("DELETE FROM names WHERE parent <= ?", (until,))
            database.execute("DELETE FROM seen WHERE manifest <= ?", (until,))
            database.execute("DELETE FROM manifest WHERE number <= ?", (until,))

    # --- the file

    def _forgiving(self) -> _Forgiving:
        return _Forgiving(self)

    def start_again(self, error: sqlite3.Error) -> None:
        """Throw the file away after an error of SQLite; go on in memory if no other can be made."""
        if getattr(error, "sqlite_errorname", "") == "SQLITE_BUSY":
            return  # another process was longer at it than is waited for; what was not stored is found again
        _log.warning("the index of what is reachable begins anew: %s", error)
        self._stored.clear()
        self._times_forgotten += 1
        self._database.close()
        try:
            self._remove()
            self._database = self._connected()
        except (sqlite3.Error, OSError, TrustError) as reason:
            _log.warning("%s cannot be written (%s): what is reachable is known until the end", self._file, reason)
            self._database = sqlite3.connect(":memory:", check_same_thread=False)
            self._database.execute(f"PRAGMA max_page_count = {_MOST_PAGES_IN_MEMORY}")
            self._database.executescript(_TABLES)

    def _opened(self) -> sqlite3.Connection:
        try:
            try:
                return self._connected()
            except sqlite3.DatabaseError as error:
                _log.warning("the index of what is reachable begins anew: %s", error)
            self._remove()
            return self._connected()
        except sqlite3.Error as error:
            raise SettingsUnusable(place=str(self._file), reason=str(error)) from error
        except OSError as error:
            raise SettingsUnusable(place=str(self._file), reason=error.strerror or "cannot be written") from error

    def _connected(self) -> sqlite3.Connection:
        self._file.touch(mode=0o600)
        check_guarded(self._file)
        database = sqlite3.connect(self._file, timeout=2.0, check_same_thread=False)
        try:
            _prepare(database)
        except BaseException:
            database.close()
            raise
        return database

    def _remove(self) -> None:
        for file in (self._file, *(self._file.with_name(self._file.name + end) for end in ("-wal", "-shm"))):
            file.unlink(missing_ok=True)


class _Forgiving:
    """A block in which an error of SQLite makes the index begin anew, and nothing else."""

    def __init__(self, index: ReachabilityIndex) -> None:
        self._index = index

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _where: object) -> bool:
        if not isinstance(error, sqlite3.Error):
            return False
        self._index.start_again(error)
        return True


def _prepare(database: sqlite3.Connection) -> None:
    """Make the tables, or check those that are there. Raises: sqlite3.Error."""
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = OFF")  # what is lost is found again
    database.execute(f"PRAGMA max_page_count = {_MOST_PAGES}")
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == 0:
        database.executescript(_TABLES)
    elif version != _VERSION:
        raise sqlite3.DatabaseError(f"it is of version {version}")
    if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise sqlite3.DatabaseError("it is damaged")


def _raw(digest: str) -> bytes:
    return bytes.fromhex(hex_of(digest))
