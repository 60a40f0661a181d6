"""The tables of the database. A change here needs a migration in migrations/versions; a test compares the two."""

from __future__ import annotations

from typing import Any, Final, cast

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, UniqueConstraint
from sqlmodel import Field, SQLModel

# Times are whole seconds since 1970 (UTC), because every database sorts and compares integers in the same way.


class CollectionRow(SQLModel, table=True):
    """One name of a collection. A deleted collection keeps its row, so that its revision never goes back."""

    __tablename__ = "collection"

    id: int | None = Field(default=None, primary_key=True)
    gun: str = Field(max_length=255, unique=True)
    format: str = Field(max_length=16)
    status: str = Field(max_length=16)
    revision: int = Field(sa_type=BigInteger)
    renew_at: int | None = Field(default=None, index=True, sa_type=BigInteger)
    deleted_root: str = Field(default="", max_length=64)
    deleted_versions: str = Field(default="{}")
    deleted_at: int | None = Field(default=None, sa_type=BigInteger)
    deleted_by: str = Field(default="", max_length=255)
    created_by: str = Field(default="", max_length=255, index=True, sa_column_kwargs={"server_default": ""})
    published_at: int | None = Field(default=None, sa_type=BigInteger)
    published_by: str = Field(default="", max_length=255, sa_column_kwargs={"server_default": ""})
    events: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})


class FileRow(SQLModel, table=True):
    """One version of one role. `raw`: the file, byte for byte as it was uploaded or signed here."""

    __tablename__ = "file"
    __table_args__ = (
        UniqueConstraint("collection_id", "role", "version"),
        Index("ix_file_sha256", "collection_id", "role", "sha256"),
        Index("ix_file_stored_at", "collection_id", "role", "version", "stored_at"),
    )

    id: int | None = Field(default=None, primary_key=True)
    collection_id: int = Field(foreign_key="collection.id", ondelete="CASCADE")
    role: str = Field(max_length=255)
    version: int = Field(sa_type=BigInteger)
    sha256: str = Field(max_length=64)
    expires: int = Field(sa_type=BigInteger)
    stored_at: int | None = Field(default=None, sa_type=BigInteger)
    raw: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class CurrentRow(SQLModel, table=True):
    """The newest version of each role of a collection. `kind` and `expires` are here for the metrics.

    `tags`: how many it lists; NULL for a role that lists none. `expiry_told`: 1 if the record says that it runs out.
    """

    __tablename__ = "current_file"
    __table_args__ = (Index("ix_current_file_kind_expires", "kind", "expires"),)

    collection_id: int = Field(primary_key=True, foreign_key="collection.id", ondelete="CASCADE")
    role: str = Field(max_length=255, primary_key=True)
    file_id: int = Field(foreign_key="file.id", index=True)
    kind: str = Field(max_length=16)
    expires: int = Field(sa_type=BigInteger)
    tags: int | None = Field(default=None, sa_type=BigInteger)
    expiry_told: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})


class OnlineKeyRow(SQLModel, table=True):
    """A server-held key. It has the name of its collection, since keys in tokens are stored before there is one.

    `place`: where its private part lives (KeyRecord). `seal`: the mark of the seal key that `sealed` is sealed with.
    """

    __tablename__ = "online_key"
    __table_args__ = (
        UniqueConstraint("gun", "role", "keyid"),
        Index("ix_online_key_state", "state", "created"),
        Index("ix_online_key_seal", "seal", "id"),
    )

    id: int | None = Field(default=None, primary_key=True)
    gun: str = Field(max_length=255)
    role: str = Field(max_length=16)
    keyid: str = Field(max_length=64)
    public: str
    sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    state: str = Field(max_length=16)
    created: int = Field(sa_type=BigInteger)
    place: str = Field(default="", max_length=255, sa_column_kwargs={"server_default": ""})
    seal: str = Field(default="", max_length=32, sa_column_kwargs={"server_default": ""})


class OfferSaltRow(SQLModel, table=True):
    """A salt from which keys are derived for names without data (OfferSalt)."""

    __tablename__ = "offer_salt"

    id: int | None = Field(default=None, primary_key=True)
    created: int = Field(sa_type=BigInteger)
    salt: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class ChangeRow(SQLModel, table=True):
    """One record of the change feed, kept when its collection is deleted. `created`: microseconds since 1970."""

    __tablename__ = "change"
    __table_args__ = (Index("ix_change_gun_id", "gun", "id"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, primary_key=True)
    created: int = Field(sa_type=BigInteger)
    gun: str = Field(max_length=255)
    version: int = Field(sa_type=BigInteger)
    sha256: str = Field(max_length=64)
    category: str = Field(max_length=16)


class EventRow(SQLModel, table=True):
    """One event of the record. `body`: its canonical form, which is what counts; the other columns are to find it.

    `gun` is empty, and `name_number` NULL, if it is about no name.
    """

    __tablename__ = "event"
    __table_args__ = (Index("ix_event_gun_number", "gun", "number"),)

    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    gun: str = Field(max_length=255)
    name_number: int | None = Field(default=None, sa_type=BigInteger)
    at: int = Field(sa_type=BigInteger)
    kind: str = Field(max_length=16)
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class EventPersonRow(SQLModel, table=True):
    """Somebody in an event: who made the change (part `by`), or whom it is about. The row can be erased alone.

    Every publish writes one. So it has no other index, and in SQLite its key is the table.
    """

    __tablename__ = "event_person"
    __table_args__ = ({"sqlite_with_rowid": False},)

    number: int = Field(primary_key=True, foreign_key="event.number", ondelete="CASCADE")
    part: str = Field(max_length=8, primary_key=True)
    subject: str = Field(max_length=255)
    kind: str = Field(max_length=32)
    address: str = Field(max_length=64)
    client: str = Field(max_length=255)
    salt: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class EventHeadRow(SQLModel, table=True):
    """The numbers of the newest event and of the last one that is kept no more. The table has one row.

    Whoever adds an event holds it until the commit. So numbers have no gaps and are in the order of the commits, in
    every database that locks rows.
    """

    __tablename__ = "event_head"

    id: int = Field(default=1, primary_key=True)
    newest: int = Field(sa_type=BigInteger)
    dropped: int = Field(sa_type=BigInteger)


class HookRow(SQLModel, table=True):
    """How far a webhook has been told: the number of the last event that it has had."""

    __tablename__ = "webhook"

    name: str = Field(max_length=40, primary_key=True)
    told: int = Field(sa_type=BigInteger)


class ExchangedTokenRow(SQLModel, table=True):
    """A token that was given for one of a workload (ExchangedToken). `shown` in hexadecimal."""

    __tablename__ = "exchanged_token"

    id: int | None = Field(default=None, primary_key=True)
    secret: str = Field(max_length=64, unique=True)
    workload: str = Field(max_length=64)
    definition: str = Field(max_length=64)
    shown: str = Field(max_length=64, unique=True)
    created: int = Field(sa_type=BigInteger)
    expires: int = Field(sa_type=BigInteger)
    kept_until: int = Field(sa_type=BigInteger, index=True)


class SealRow(SQLModel, table=True):
    """The mark of the seal key (KeySealer.mark). The table has one row.

    `next_mark`: of the seal key that the server accepts beside it; empty if it knows none. `first_mark`: of the first
    seal key, by which the database is known; empty while that is the only one.
    """

    __tablename__ = "seal"

    id: int = Field(default=1, primary_key=True)
    mark: str = Field(max_length=64)
    next_mark: str = Field(default="", max_length=64, sa_column_kwargs={"server_default": ""})
    first_mark: str = Field(default="", max_length=64, sa_column_kwargs={"server_default": ""})


class ClockRow(SQLModel, table=True):
    """What is recorded of the server's clock (ClockRecord). The table has one row, or none."""

    __tablename__ = "clock"

    id: int = Field(default=1, primary_key=True)
    last_round: int = Field(sa_type=BigInteger)
    accepted: int | None = Field(default=None, sa_type=BigInteger)


class CredentialRow(SQLModel, table=True):
    """One credential (StoredCredential). `rights`, `names`, `roles`: lists of texts, as JSON."""

    __tablename__ = "credential"
    __table_args__ = (UniqueConstraint("kind", "name"),)

    id: int | None = Field(default=None, primary_key=True)
    kind: str = Field(max_length=16)
    name: str = Field(max_length=64)
    secret: str = Field(max_length=255)
    created: int = Field(sa_type=BigInteger)
    expires: int | None = Field(default=None, sa_type=BigInteger)
    ended: int | None = Field(default=None, sa_type=BigInteger)
    rights: str
    names: str
    roles: str


class CredentialChangesRow(SQLModel, table=True):
    """How often credentials were changed, and which rules count beside them. The table has one row.

    `rules`: SHA-256 of the file of rules that was recorded last, in hexadecimal; empty: that there is none.
    """

    __tablename__ = "credential_changes"

    id: int = Field(default=1, primary_key=True)
    count: int = Field(sa_type=BigInteger)
    rules: str = Field(max_length=64, sa_column_kwargs={"server_default": ""})


METADATA: Final = SQLModel.metadata
"""All tables, for the migrations and their test."""


FIRST_ROWS: Final[tuple[tuple[type[SQLModel], dict[str, object]], ...]] = (
    (EventHeadRow, {"id": 1, "newest": 0, "dropped": 0}),
    (CredentialChangesRow, {"id": 1, "count": 0}),
)
"""The rows of a database that nothing has been written to yet, as the migrations make them."""


def table_of(model: type[SQLModel]) -> Table:
    """Return the table of a model, for statements."""
    return cast("Table", cast("Any", model).__table__)
