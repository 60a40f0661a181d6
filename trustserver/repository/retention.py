"""Drop versions that no client asks for any more, and events beyond the number that is kept.

Whoever publishes often must not fill the disk.

A client reads the timestamp first, then what it lists. So it may still ask for the versions that were current a moment
ago. Superseded versions are kept for an hour, as long as those of one collection do not take too much; and always the
last ones. Versions of root are kept for ever, since a client follows all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from threading import Lock
from typing import Final

from trustdata.errors import NotStored
from trustdata.gun import GUN
from trustdata.roles import ONLINE, ROOT, RoleName
from trustserver.storage.ports import MetadataStore, Status, StoredVersion

KEPT_BYTES: Final = 32 * 1024 * 1024
"""The highest number of bytes of superseded versions of one collection, without the last ones of each role."""
LAST_ONLINE: Final = 4
"""How many superseded versions of snapshot and timestamp are always kept."""
LAST_OFFLINE: Final = 1
"""How many superseded versions of each other role are always kept."""
KEPT_CHANGES: Final = 10_000
"""How many records of one collection are kept in the change feed."""
SWEEP: Final = 500
"""How many collections one round looks at."""
AFTER_PUBLISHES: Final = 16
"""After so many publishes of a collection its superseded versions are looked at."""
AFTER_BYTES: Final = 8 * 1024 * 1024
"""After so many published bytes of a collection its superseded versions are looked at."""
SHARE: Final = 8
"""Where a look has found more versions than SHARE * AFTER_PUBLISHES, the next one comes after this share of them. So a
publish costs the same, however many there were in the last hour."""
_COUNTED: Final = 10_000
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


class Retention:
    """Drops superseded versions. Call it from a worker thread: it waits for the database.

    `keep`: how long a superseded version is kept. `keep_events`: how many events of the record are kept; 0: all.
    """

    def __init__(self, store: MetadataStore, *, keep: timedelta, keep_events: int = 0) -> None:
        self._store = store
        self._keep_events = keep_events
        self._keep = keep
        self._lock = Lock()
        self._published: dict[GUN, tuple[int, int, int]] = {}
        self._swept = ""

    def published(self, gun: GUN, size: int, at: datetime) -> None:
        """Count a publish of so many bytes, and look at the collection if it has had enough of them."""
        with self._lock:
            times, written, enough = self._published.pop(gun, (0, 0, AFTER_PUBLISHES))
            times, written = times + 1, written + size
            if times < enough and written < AFTER_BYTES:
                self._count(gun, times, written, enough)
                return
        try:
            _, kept = self._prune(gun, at)
        except NotStored:
            return  # the publish itself is stored, and a round will try again
        if kept > AFTER_PUBLISHES * SHARE:
            with self._lock:
                times, written, _ = self._published.get(gun, (0, 0, 0))
                self._count(gun, times, written, kept // SHARE)

    def prune(self, gun: GUN, at: datetime) -> int:
        """Drop what a collection need not keep. Return how many versions were dropped. Raises: NotStored."""
        dropped, _ = self._prune(gun, at)
        return dropped

    def _count(self, gun: GUN, times: int, written: int, enough: int) -> None:
        self._published[gun] = (times, written, enough)
        if len(self._published) > _COUNTED:  # the rounds find it
            del self._published[next(iter(self._published))]

    def _prune(self, gun: GUN, at: datetime) -> tuple[int, int]:
        """Return how many versions were dropped, and how many are kept."""
        versions = self._store.versions(gun)
        dropped = superseded(versions, at, keep=self._keep)
        if dropped:
            self._store.drop_versions(gun, dropped)
        self._store.drop_changes(gun, keep=KEPT_CHANGES)
        return len(dropped), len(versions) - len(dropped)

    def round(self, at: datetime) -> int:
        """Look at the next SWEEP collections, and at the record. Return how many versions were dropped.

        Raises: NotStored.
        """
        if self._keep_events:
            self._store.drop_events(keep=self._keep_events)
        found = self._store.collections(after=self._swept, limit=SWEEP)
        self._swept = found[-1].gun if len(found) == SWEEP else ""
        return sum(self.prune(each.gun, at) for each in found if each.status is Status.LIVE)


def superseded(versions: Iterable[StoredVersion], at: datetime, *, keep: timedelta) -> list[tuple[RoleName, int]]:
    """Return the versions that need not be kept, by role and version."""
    dropped: list[tuple[RoleName, int]] = []
    recent: list[tuple[datetime, StoredVersion]] = []
    by_role = sorted(versions, key=lambda each: (each.role, each.version))
    for role, group in groupby(by_role, key=lambda each: each.role):
        if role == ROOT:
            continue
        ascending = list(group)
        always = LAST_ONLINE if role in ONLINE else LAST_OFFLINE
        for old, new in list(pairwise(ascending))[: max(0, len(ascending) - 1 - always)]:
            since = new.stored_at or _LONG_AGO
            if old.is_current:
                continue
            if at - since < keep:
                recent.append((since, old))
            else:
                dropped.append((old.role, old.version))
    left = KEPT_BYTES
    for _, old in sorted(recent, key=lambda each: each[0], reverse=True):
        left -= old.size
        if left < 0:
            dropped.append((old.role, old.version))
    return dropped
