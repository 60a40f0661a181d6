"""The interfaces of the storage (ports), and the values that go through them.

Implementations: sql.py (MetadataStore), sealed_keys.py (KeySealer). Every implementation of MetadataStore must pass
tests/contracts/test_metadata_store.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Protocol

from trustdata.errors import NotStored
from trustdata.gun import GUN
from trustdata.roles import RoleName
from trustserver.storage.events import Actor, EventRange, NewEvent, StoredEvent

NEVER_RENEWED: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""The `renew_at` of a collection that was imported without its timestamp key: this server cannot renew it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One version of one role, byte for byte as it was uploaded or signed here. `sha256`: lower-case hex over `raw`.

    `stored_at`: in whole seconds; None for a file stored by an early version of the server, which did not record it.
    `tags`: how many it lists, given when it is stored; None for a role that lists none, and for what was read.
    """

    role: RoleName
    version: int
    raw: bytes = field(repr=False)
    sha256: str
    expires: datetime
    stored_at: datetime | None = None
    tags: int | None = None


class KeyState(StrEnum):
    """The states of a server-held key."""

    OFFERED = "offered"
    """Derived for a name without data; stored as CURRENT with the first publish, if its root names it."""
    PENDING = "pending"
    """Made for a rotation; waits for a root that names it."""
    CURRENT = "current"
    """Named by the current root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """A server-held key. `public`: the TUF key object as JSON. `sealed`: the private key, encrypted by a KeySealer.

    `place`: empty if that is all; else the key of a token that the private key is encrypted with within the seal.
    `seal`: the mark of the seal key.
    """

    gun: GUN
    role: RoleName
    keyid: str
    public: str
    sealed: bytes = field(repr=False)
    state: KeyState
    created: datetime
    place: str = ""
    seal: str = ""


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

    A name that was never used has status ABSENT and revision 0. `renew_at`: when an online role must be signed again;
    None if there is no live collection.
    """

    gun: GUN
    status: Status
    format: str = ""
    revision: int = 0
    files: Mapping[RoleName, StoredFile] = field(default_factory=dict)
    keys: tuple[KeyRecord, ...] = ()
    tombstone: Tombstone | None = None
    renew_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """New files of one collection and what changes with them; all of it is stored in one transaction, or nothing.

    `base`: the revision that the change was made for; 0 for a name without data. `promoted_keys`: keys of this server
    that the new root names; each becomes CURRENT, and the other keys of its role are deleted. `imported_keys`: keys
    that are not stored yet; each is stored as CURRENT, and the other keys of its role are deleted. `renew_at`: when an
    online role must be signed again. `in_feed`: the change feed gets a record of the new timestamp, and older
    timestamps stay readable. `subject`: who publishes, or begins the collection; empty if nobody knows. `event`: what
    the record says of it; None for what the server does by itself.
    """

    gun: GUN
    format: str
    base: int
    files: tuple[StoredFile, ...]
    promoted_keys: tuple[KeyRecord, ...]
    renew_at: datetime
    in_feed: bool = False
    imported_keys: tuple[KeyRecord, ...] = ()
    subject: str = ""
    event: NewEvent | None = None


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
class Overview:
    """What an operator sees of one name without its files.

    `tags`: how many the roles that release them list; Notary v1 may list a tag twice. `size`: bytes of all stored
    versions. `published_at`, `published_by`: of the last change by owners; None and "" if that is not known.
    `expires`: when the first of its current files does; `expires_role`: which one. `owner_expires`,
    `owner_expires_role`: the same of those that owners sign, since the server renews the others by itself.
    """

    summary: Summary
    tags: int = 0
    size: int = 0
    published_at: datetime | None = None
    published_by: str = ""
    expires: datetime | None = None
    expires_role: str = ""
    owner_expires: datetime | None = None
    owner_expires_role: str = ""


@dataclass(frozen=True, slots=True, order=True)
class RoleExpiry:
    """When the current file of a role expires. They are compared by expiry, name and role."""

    expires: datetime
    gun: GUN
    role: RoleName


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockRecord:
    """What is recorded of the server's clock, in whole seconds; None: nothing.

    `last_round`: when the last round of upkeep was done. `accepted`: when an operator last accepted the clock.
    """

    last_round: datetime | None = None
    accepted: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferSalt:
    """A random value, in use from `created` on for the derivation of keys for names without data."""

    created: datetime
    salt: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVersion:
    """One stored version of a role, without the file. `size`: its bytes. `stored_at`: as in StoredFile."""

    role: RoleName
    version: int
    size: int
    stored_at: datetime | None
    is_current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of a live collection without its files.

    `signed_at`: when its timestamp was stored. `held`: the roles for which the server has a CURRENT key.
    """

    format: str
    revision: int
    signed_at: datetime | None
    held: frozenset[RoleName]


class MetadataStore(Protocol):
    """The stored collections, with their files and server-held keys. May be called from several threads.

    A method that writes does all of it or nothing, and what it wrote is on the disk when it returns. Its `event` is in
    the record if the change was made, and only then (ADR 0082). A method with `base` changes something only if the
    collection is at that revision (compare-and-swap, ADR 0006), and returns the new revision; otherwise it raises
    RevisionMoved. Methods that read see committed changes only. Every method raises NotStored if the database cannot be
    read or written.
    """

    def load(self, gun: GUN, *, only: Collection[RoleName] | None = None) -> StoredCollection:
        """Return the current files and keys of a name, all of the same revision.

        `only`: the roles whose files are read, since a collection may be large; None for all. The others are left out.
        """

    def load_many(self, guns: Sequence[GUN]) -> tuple[StoredCollection, ...]:
        """Return the current files and keys of some hundred names, in this order, as `load` does; all of one moment."""

    def file(self, gun: GUN, role: RoleName, version: int, *, wire: str = "") -> StoredFile | None:
        """Return one version of a role of a live collection; None if it is not stored.

        Older versions of the timestamp are stored only if the collection is in the change feed. `wire`: the name of the
        format that the collection must have; empty for any.
        """

    def file_by_hash(self, gun: GUN, role: RoleName, sha256: str, *, wire: str = "") -> StoredFile | None:
        """Return the version of a role with this hash (lower-case hex); None if it is not stored.

        `wire`: the name of the format that the collection must have; empty for any.
        """

    def piece(self, gun: GUN, role: RoleName, sha256: str, *, start: int, length: int) -> bytes | None:
        """Return bytes of the version of a role with this hash, without holding the rest; None if it is not stored.

        `start`: offset of the first of them. There are fewer than `length` only at the end of the file.
        """

    def current(self, gun: GUN, role: RoleName, *, wire: str = "") -> StoredFile | None:
        """Return the newest version of a role of a live collection; None if there is none.

        `wire`: the name of the format that the collection must have; empty for any.
        """

    def current_timestamp(self, gun: GUN, *, wire: str = "") -> tuple[StoredFile, datetime | None] | None:
        """Return the newest timestamp of a live collection, and its `renew_at`; None if there is none.

        `wire`: the name of the format that the collection must have; empty for any.
        """

    def size(self, gun: GUN) -> int:
        """Return how many bytes the current files of a collection have, without reading them."""

    def standing(self, gun: GUN) -> Standing | None:
        """Return what is known of a live collection without its files; None if there is no such collection."""

    def versions(self, gun: GUN) -> tuple[StoredVersion, ...]:
        """Return every stored version of every role of a collection, without the files, in any order."""

    def drop_versions(self, gun: GUN, versions: Collection[tuple[RoleName, int]]) -> None:
        """Delete these versions of roles; never a root, and never a current version. Raises: NotStored."""

    def drop_changes(self, gun: GUN, *, keep: int) -> int:
        """Delete all but the newest `keep` records of a collection in the change feed. Return how many there were."""

    def room_taken(self) -> tuple[int, int]:
        """Return how many names have data or a tombstone, and how many bytes of the database are in use."""

    def count_names(self, *, subject: str) -> tuple[int, int]:
        """Return how many names have data or a tombstone: in all, and of those that this subject has begun."""

    def publish(self, publication: Publication) -> int:
        """Store new files and make them the current ones. Return the new revision.

        Raises: RevisionMoved, also if one of the versions is stored already; NotStored.
        """

    def delete(
        self,
        gun: GUN,
        *,
        base: int,
        tombstone: Tombstone,
        frees_name: bool = False,
        event: NewEvent | None = None,
    ) -> int:
        """Delete the files and keys of a collection and leave the tombstone. Return the new revision.

        `frees_name`: a new collection may be published at once, and the change feed gets a record of the deletion.
        Raises: RevisionMoved, NotStored.
        """

    def changes(self, gun: GUN | None, *, after: int, limit: int) -> tuple[FeedRecord, ...]:
        """Return the first `limit` records after the id `after`, oldest first. `gun` None: of every collection."""

    def changes_before(self, gun: GUN | None, *, before: int | None, limit: int) -> tuple[FeedRecord, ...]:
        """Return the last `limit` records before the id `before`, oldest first. `before` None: the newest records."""

    def add_pending(self, key: KeyRecord, *, base: int, event: NewEvent | None = None) -> int:
        """Store a key for a rotation; it replaces the pending key of its role. Return the new revision.

        Raises: RevisionMoved, NotStored.
        """

    def offer_salts(self) -> tuple[OfferSalt, ...]:
        """Return the salts from which keys are derived for names without data, the newest first."""

    def replace_offer_salts(self, salts: Sequence[OfferSalt]) -> None:
        """Store these salts instead of those that are stored. Raises: NotStored."""

    def release(self, gun: GUN, *, event: NewEvent | None = None) -> bool:
        """Allow a new collection under a deleted name. Return False if no tombstone forbids one."""

    def record(self, event: NewEvent) -> int:
        """Add an event that changes nothing else in this store. Its name, if it has one, must be in use.

        Return its number.
        """

    def events(
        self, gun: GUN | None, *, after: int, limit: int, since: datetime | None = None
    ) -> tuple[StoredEvent, ...]:
        """Return the first `limit` events with a number after `after`, in order. `gun` None: of all names and of none.

        `since`: leaves out what happened before, by the clock of that time.
        """

    def event_ranges(self) -> tuple[EventRange, ...]:
        """Return which events are kept: in all first, and then of each name that has or had any."""

    def erase_people(self, subject: str, *, stored: str, by: Actor, at: datetime) -> int:
        """Erase a subject from all events, lists and tombstones. Return from how many events. Raises: NotStored.

        `stored`: how lists and tombstones name it (`stored_as`), where that differs.
        If anything was erased, the record gets an event that says how much, and not whom.
        """

    def tell_expiring(self, *, at: datetime, until: datetime, limit: int) -> int:
        """Record which current files of owners expire after `at` and until `until`, each version once.

        At most `limit` of them, the earliest first. Return how many.
        """

    def newest_event(self) -> int:
        """Return the number of the newest event; 0 if there was none."""

    def hook_cursor(self, name: str) -> int | None:
        """Return the number of the last event that a webhook of this name has had; None if it is not known."""

    def move_hook_cursor(self, name: str, told: int) -> None:
        """Note the number of the last event that a webhook has had. Raises: NotStored."""

    def drop_events(self, *, keep: int) -> int:
        """Delete the oldest events until the newest `keep` are left, or some thousand of them. Return how many."""

    def due(self, *, at: datetime, limit: int) -> tuple[GUN, ...]:
        """Return the live collections whose `renew_at` has passed, at most `limit`, the earliest first."""

    def outliving(self, bounds: Mapping[str, Mapping[RoleName, datetime]], *, limit: int) -> tuple[GUN, ...]:
        """Return the live collections that have a file of a server-held role which expires after its bound.

        At most `limit`, sorted by name. `bounds`: by the name of the format and the role. A role is server-held if the
        server has a CURRENT key for it.
        """

    def collections(self, *, after: str = "", limit: int | None = None) -> tuple[Summary, ...]:
        """Return the names that have data or a tombstone and come after `after`, sorted; at most `limit` of them."""

    def overviews(self, *, after: str = "", limit: int) -> tuple[Overview, ...]:
        """Return the same names with what is seen of them without their files, `limit` of them at most."""

    def earliest_expiries(self) -> Mapping[str, datetime]:
        """Return the earliest expiry among the current files of all live collections, by kind of role.

        The kinds are the top-level roles and `delegation`.
        """

    def first_expiries(self, *, most: int) -> tuple[RoleExpiry, ...]:
        """Return the current files of live collections that expire first, in the order of expiry, name and role.

        At most `most` of the roles of owners, and as many of those that the server renews.
        """

    def waiting_keys(self) -> tuple[KeyRecord, ...]:
        """Return the keys of names without a live collection, except OFFERED ones: none, unless one is lost."""

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
        """An identifier of the seal key, from which the key cannot be found."""

    def seal(self, private: bytes, *, gun: GUN, role: RoleName, keyid: str, place: str = "") -> bytes:
        """Encrypt a private key, authenticated together with collection, role, key id and KeyRecord's place."""

    def derive(self, salt: bytes, *, gun: GUN, role: RoleName, revision: int) -> tuple[bytes, ...]:
        """Return DERIVED_BYTES secret bytes for each accepted seal key, that of `mark` first (HKDF, RFC 5869)."""

    def open(self, sealed: bytes, *, gun: GUN, role: RoleName, keyid: str, place: str = "") -> bytes:
        """Decrypt a key that was sealed with this seal key, or with one that is accepted beside it.

        Raises: KeyFileMalformed if it was changed, moved to another name, role or key id, or sealed with another key.
        """
