"""What the server asks of its storage, as promises. Implementations: sql.py, memory.py, sealed_keys.py.

Every implementation of `MetadataStore` passes tests/contracts/test_metadata_store.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Protocol

from trustdata.errors import NotStored
from trustdata.gun import GUN
from trustdata.roles import RoleName

NEVER_RENEWED: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""When a collection is due whose timestamp key is not ours: taken over without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One version of one role, as it was uploaded or issued. `sha256` is lower-case hex over `raw`.

    `stored_at`: precise to the second; None for what a server before the change feed stored.
    """

    role: RoleName
    version: int
    raw: bytes = field(repr=False)
    sha256: str
    expires: datetime
    stored_at: datetime | None = None


class KeyState(StrEnum):
    """The life of a server-held key."""

    OFFERED = "offered"
    """Handed out before the first publish."""
    PENDING = "pending"
    """Waits for the root that names it (rotation)."""
    CURRENT = "current"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """A server-held key. `public` is the TUF key object as JSON, `sealed` opens with the seal key only."""

    gun: GUN
    role: RoleName
    keyid: str
    public: str
    sealed: bytes = field(repr=False)
    state: KeyState
    created: datetime


class Status(StrEnum):
    """What a name is to the server."""

    ABSENT = "absent"
    LIVE = "live"
    DELETED = "deleted"
    """Has a tombstone that forbids a new beginning."""
    RELEASED = "released"
    """Had one; the operator allows a new beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """What remains of a deleted collection. `root_sha256`: hex over its first root file, which pins name."""

    root_sha256: str
    versions: Mapping[str, int]
    deleted_at: datetime
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCollection:
    """Everything about one name at one revision. A name never seen: ABSENT, revision 0, perhaps offered keys."""

    gun: GUN
    status: Status
    format: str = ""
    revision: int = 0
    files: Mapping[RoleName, StoredFile] = field(default_factory=dict)
    keys: tuple[KeyRecord, ...] = ()
    tombstone: Tombstone | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """New files of one collection, and what goes with them, to be stored all or not at all.

    `base`: the revision that was read (0: none). `used`: the server keys that the new root names; each becomes
    CURRENT and every other key of its role is destroyed. `renew_at`: when an online role must be issued again.
    `brought`: server keys from elsewhere; each is kept, CURRENT, in place of every other one of its role.
    `in_feed`: the change feed gets a record of the timestamp among the files, and older timestamps stay readable.
    """

    gun: GUN
    format: str
    base: int
    files: tuple[StoredFile, ...]
    promoted_keys: tuple[KeyRecord, ...]
    renew_at: datetime
    in_feed: bool = False
    imported_keys: tuple[KeyRecord, ...] = ()


class Category(StrEnum):
    """What happened to a collection of the change feed."""

    UPDATE = "update"
    DELETION = "deletion"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRecord:
    """One record of the change feed; ids go up. A deletion has version 0 and an empty `sha256`."""

    id: int
    created: datetime
    gun: GUN
    version: int
    sha256: str
    category: Category


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One line of a listing."""

    gun: GUN
    format: str
    status: Status
    revision: int
    tombstone: Tombstone | None = None


class MetadataStore(Protocol):
    """Collections with their files and server-held keys. Safe to call from several threads.

    Every writing method is all or nothing, durable when it returns, and raises NotStored if the medium refuses.
    Methods with a `base` compare and swap: they raise RevisionMoved, and change nothing, unless the collection is
    at that revision; they return the new one. Reads see committed states only.
    """

    def load(self, gun: GUN) -> StoredCollection:
        """The current files and keys, all of one revision."""

    def file(self, gun: GUN, role: RoleName, version: int, *, wire: str = "") -> StoredFile | None:
        """One version of a live collection; the timestamp's older versions are kept only if they are in the feed.

        `wire`: of a collection in this format alone; empty: in any. So it is with the next two.
        """

    def file_by_hash(self, gun: GUN, role: RoleName, sha256: str, *, wire: str = "") -> StoredFile | None:
        """The file of this role with this hash, in a live collection."""

    def current(self, gun: GUN, role: RoleName, *, wire: str = "") -> StoredFile | None:
        """The newest version of a live collection."""

    def renew_at(self, gun: GUN) -> datetime | None:
        """When an online role of a live collection is to be issued again."""

    def publish(self, publication: Publication) -> int:
        """Store the files and make them current. A version that is stored already loses: RevisionMoved."""

    def delete(self, gun: GUN, *, base: int, tombstone: Tombstone, released: bool = False) -> int:
        """Drop files and keys, leave the tombstone.

        `released`: a new beginning is allowed at once, and the change feed gets a record of the deletion.
        """

    def changes(self, gun: GUN | None, *, after: int, limit: int) -> tuple[FeedRecord, ...]:
        """The first records of the change feed after an id, oldest first; None: of every collection."""

    def changes_before(self, gun: GUN | None, *, before: int | None, limit: int) -> tuple[FeedRecord, ...]:
        """The last records before an id (None: at all), oldest first."""

    def add_pending(self, key: KeyRecord, *, base: int) -> int:
        """Keep a key for rotation in place of the role's pending one."""

    def offer(self, key: KeyRecord, *, limit: int) -> KeyRecord:
        """Keep a key for a name without data, once: an offered key of that name and role is returned instead.

        Raises: NotStored if `limit` keys are offered already.
        """

    def drop_offers(self, *, before: datetime) -> int:
        """Forget offered keys made before this instant; how many."""

    def release(self, gun: GUN) -> bool:
        """Allow a new beginning over a tombstone. False: there is none."""

    def due(self, *, at: datetime, limit: int) -> tuple[GUN, ...]:
        """Live collections with `renew_at` not after `at`, the longest due first."""

    def collections(self) -> tuple[Summary, ...]:
        """Every name with data or a tombstone, sorted."""

    def earliest_expiries(self) -> Mapping[str, datetime]:
        """Over all live collections: the first expiry among current files, by top-level role or `delegation`."""

    def sealed_keys(self) -> tuple[KeyRecord, ...]:
        """Every key, for the check at the operator's command."""

    def seal_mark(self) -> str:
        """The mark of the seal key that the stored keys were sealed with; empty: none yet."""

    def set_seal_mark(self, mark: str) -> None:
        """Record it."""

    def ping(self) -> None:
        """Return if the medium answers. Raises: NotStored."""

    def refusal(self) -> NotStored | None:
        """Why the medium refused the last write; None: it took it."""

    def probe(self) -> None:
        """Write something that changes nothing: whether a medium that refused takes writes again. Raises: NotStored."""

    def close(self) -> None:
        """Let go of the medium."""


class KeySealer(Protocol):
    """Seals private keys, bound to whom they belong to."""

    @property
    def mark(self) -> str:
        """Names the seal key without telling anything of it."""

    def seal(self, private: bytes, *, gun: GUN, role: RoleName, keyid: str) -> bytes:
        """Encrypt and authenticate, together with gun, role and key id."""

    def open(self, sealed: bytes, *, gun: GUN, role: RoleName, keyid: str) -> bytes:
        """The reverse. Raises: KeyFileMalformed if altered, moved to another name, or sealed with another key."""
