"""The interfaces of the storage (ports), and the values that go through them.

Implementations: sql.py (MetadataStore), sealed_keys.py (KeySealer). Every implementation of MetadataStore must pass
tests/contracts/test_metadata_store.py.
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
"""The `renew_at` of a collection that was imported without its timestamp key: this server cannot renew it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One version of one role, byte for byte as it was uploaded or signed here. `sha256`: lower-case hex over `raw`.

    `stored_at`: in whole seconds; None for a file stored by an early version of the server, which did not record it.
    """

    role: RoleName
    version: int
    raw: bytes = field(repr=False)
    sha256: str
    expires: datetime
    stored_at: datetime | None = None


class KeyState(StrEnum):
    """The states of a server-held key."""

    OFFERED = "offered"
    """Made for a name without data; waits for the first publish."""
    PENDING = "pending"
    """Made for a rotation; waits for a root that names it."""
    CURRENT = "current"
    """Named by the current root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """A server-held key. `public`: the TUF key object as JSON. `sealed`: the private key, encrypted by a KeySealer."""

    gun: GUN
    role: RoleName
    keyid: str
    public: str
    sealed: bytes = field(repr=False)
    state: KeyState
    created: datetime


class Status(StrEnum):
    """The states of a collection's name."""

    ABSENT = "absent"
    """Never used."""
    LIVE = "live"
    """Has a collection."""
    DELETED = "deleted"
    """Has a tombstone; no new collection may be published."""
    RELEASED = "released"
    """Has a tombstone; a new collection may be published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """What is kept of a deleted collection. `root_sha256`: hex over its first root file; users pin this hash.

    `versions`: of every role when it was deleted. `subject`: who deleted it.
    """

    root_sha256: str
    versions: Mapping[str, int]
    deleted_at: datetime
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCollection:
    """All that is stored under one name, at one revision: the current files and the server-held keys.

    A name that was never used has status ABSENT and revision 0; it may have offered keys.
    """

    gun: GUN
    status: Status
    format: str = ""
    revision: int = 0
    files: Mapping[RoleName, StoredFile] = field(default_factory=dict)
    keys: tuple[KeyRecord, ...] = ()
    tombstone: Tombstone | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """New files of one collection and what changes with them; all of it is stored in one transaction, or nothing.

    `base`: the revision that the change was made for; 0 for a name without data. `promoted_keys`: keys of this server
    that the new root names; each becomes CURRENT, and the other keys of its role are deleted. `imported_keys`: keys of
    another server; each is stored as CURRENT, and the other keys of its role are deleted. `renew_at`: when an online
    role must be signed again. `in_feed`: the change feed gets a record of the new timestamp, and older timestamps stay
    readable.
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
    """What a record of the change feed says of a collection: that it has a new timestamp, or was deleted."""

    UPDATE = "update"
    DELETION = "deletion"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRecord:
    """One record of the change feed. Newer records have higher ids. A deletion has version 0 and an empty `sha256`."""

    id: int
    created: datetime
    gun: GUN
    version: int
    sha256: str
    category: Category


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One line of a list of collections."""

    gun: GUN
    format: str
    status: Status
    revision: int
    tombstone: Tombstone | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockRecord:
    """What is recorded of the server's clock, in whole seconds; None: nothing.

    `last_round`: when the last round of upkeep was done. `accepted`: when an operator last accepted the clock.
    """

    last_round: datetime | None = None
    accepted: datetime | None = None


class MetadataStore(Protocol):
    """The stored collections, with their files and server-held keys. May be called from several threads.

    A method that writes does all of it or nothing, and what it wrote is on the disk when it returns. A method with
    `base` changes something only if the collection is at that revision (compare-and-swap, ADR 0006), and returns the
    new revision; otherwise it raises RevisionMoved. Methods that read see committed changes only. Every method raises
    NotStored if the database cannot be read or written.
    """

    def load(self, gun: GUN) -> StoredCollection:
        """Return the current files and keys of a name, all of the same revision."""

    def file(self, gun: GUN, role: RoleName, version: int, *, wire: str = "") -> StoredFile | None:
        """Return one version of a role of a live collection; None if it is not stored.

        Older versions of the timestamp are stored only if the collection is in the change feed. `wire`: the name of the
        format that the collection must have; empty for any.
        """

    def file_by_hash(self, gun: GUN, role: RoleName, sha256: str, *, wire: str = "") -> StoredFile | None:
        """Return the version of a role with this hash (lower-case hex); None if it is not stored.

        `wire`: the name of the format that the collection must have; empty for any.
        """

    def current(self, gun: GUN, role: RoleName, *, wire: str = "") -> StoredFile | None:
        """Return the newest version of a role of a live collection; None if there is none.

        `wire`: the name of the format that the collection must have; empty for any.
        """

    def size(self, gun: GUN) -> int:
        """Return how many bytes the current files of a name have together, without reading them."""

    def renew_at(self, gun: GUN) -> datetime | None:
        """Return when an online role of a live collection must be signed again; None if there is no such collection."""

    def publish(self, publication: Publication) -> int:
        """Store new files and make them the current ones. Return the new revision.

        Raises: RevisionMoved, also if one of the versions is stored already; NotStored.
        """

    def delete(self, gun: GUN, *, base: int, tombstone: Tombstone, released: bool = False) -> int:
        """Delete the files and keys of a collection and leave the tombstone. Return the new revision.

        `released`: a new collection may be published at once, and the change feed gets a record of the deletion.
        Raises: RevisionMoved, NotStored.
        """

    def changes(self, gun: GUN | None, *, after: int, limit: int) -> tuple[FeedRecord, ...]:
        """Return the first `limit` records after the id `after`, oldest first. `gun` None: of every collection."""

    def changes_before(self, gun: GUN | None, *, before: int | None, limit: int) -> tuple[FeedRecord, ...]:
        """Return the last `limit` records before the id `before`, oldest first. `before` None: the newest records."""

    def add_pending(self, key: KeyRecord, *, base: int) -> int:
        """Store a key for a rotation; it replaces the pending key of its role. Return the new revision.

        Raises: RevisionMoved, NotStored.
        """

    def offer(self, key: KeyRecord, *, limit: int) -> KeyRecord:
        """Store a key for a name without data, and return it. If one is offered already, return that one instead.

        Raises: RevisionMoved if the name has data, or was deleted and not released; NotStored, also if `limit` keys are
        offered already.
        """

    def drop_offers(self, *, before: datetime) -> int:
        """Delete the offered keys that were made before this time. Return how many there were."""

    def release(self, gun: GUN) -> bool:
        """Allow a new collection under a deleted name. Return False if no tombstone forbids one."""

    def due(self, *, at: datetime, limit: int) -> tuple[GUN, ...]:
        """Return the live collections whose `renew_at` has passed, at most `limit`, the earliest first."""

    def outliving(self, bounds: Mapping[str, Mapping[RoleName, datetime]], *, limit: int) -> tuple[GUN, ...]:
        """Return the live collections that have a file of a server-held role which expires after its bound.

        At most `limit`, sorted by name. `bounds`: by the name of the format and the role. A role is server-held if the
        server has a CURRENT key for it.
        """

    def collections(self) -> tuple[Summary, ...]:
        """Return every name that has data or a tombstone, sorted by name."""

    def earliest_expiries(self) -> Mapping[str, datetime]:
        """Return the earliest expiry among the current files of all live collections, by kind of role.

        The kinds are the top-level roles and `delegation`.
        """

    def sealed_keys(self) -> tuple[KeyRecord, ...]:
        """Return every server-held key, for `trust-server check`."""

    def seal_mark(self) -> str:
        """Return the mark (KeySealer.mark) of the seal key that was used; empty if nothing was sealed yet."""

    def set_seal_mark(self, mark: str) -> None:
        """Store the mark of the seal key. Raises: NotStored."""

    def clock_record(self) -> ClockRecord:
        """Return what is recorded of the server's clock."""

    def record_round(self, at: datetime) -> None:
        """Record when the last round of upkeep was done. Raises: NotStored."""

    def accept_clock(self, at: datetime) -> None:
        """Record that an operator accepted the clock, as if a round had been done then. Raises: NotStored."""

    def ping(self) -> None:
        """Return if the database answers. Raises: NotStored if it does not."""

    def refusal(self) -> NotStored | None:
        """Return why the last write failed; None if it succeeded."""

    def probe(self) -> None:
        """Write something without meaning, to find out whether writes succeed again. Raises: NotStored if they fail."""

    def close(self) -> None:
        """Close the connections to the database."""


class KeySealer(Protocol):
    """Encrypts private keys for storage, each for one collection and role; for another one it cannot be decrypted."""

    @property
    def mark(self) -> str:
        """Return an identifier of the seal key, from which the key cannot be found."""

    def seal(self, private: bytes, *, gun: GUN, role: RoleName, keyid: str) -> bytes:
        """Encrypt a private key, authenticated together with the collection's name, the role and the key id."""

    def open(self, sealed: bytes, *, gun: GUN, role: RoleName, keyid: str) -> bytes:
        """Decrypt a sealed key.

        Raises: KeyFileMalformed if it was changed, moved to another name, role or key id, or sealed with another key.
        """
