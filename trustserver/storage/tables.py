"""The tables. A change here needs a migration beside it; a test compares the two."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

# Instants are whole seconds since 1970 (UTC): they sort and compare the same in every database.


class CollectionRow(SQLModel, table=True):
    """One name. A deleted collection keeps its row: the revision never goes back."""

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


class FileRow(SQLModel, table=True):
    """One version of one role: the bytes as they came."""

    __tablename__ = "file"
    __table_args__ = (
        UniqueConstraint("collection_id", "role", "version"),
        Index("ix_file_sha256", "collection_id", "role", "sha256"),
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
    """Which version of a role is the newest. `kind` and `expires` stand here for the metrics."""

    __tablename__ = "current_file"
    __table_args__ = (Index("ix_current_file_kind_expires", "kind", "expires"),)

    collection_id: int = Field(primary_key=True, foreign_key="collection.id", ondelete="CASCADE")
    role: str = Field(max_length=255, primary_key=True)
    file_id: int = Field(foreign_key="file.id", index=True)
    kind: str = Field(max_length=16)
    expires: int = Field(sa_type=BigInteger)


class OnlineKeyRow(SQLModel, table=True):
    """A server-held key. By name, since a key may be handed out before there is a collection."""

    __tablename__ = "online_key"
    __table_args__ = (UniqueConstraint("gun", "role", "keyid"), Index("ix_online_key_state", "state", "created"))

    id: int | None = Field(default=None, primary_key=True)
    gun: str = Field(max_length=255)
    role: str = Field(max_length=16)
    keyid: str = Field(max_length=64)
    public: str
    sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    state: str = Field(max_length=16)
    created: int = Field(sa_type=BigInteger)


class ChangeRow(SQLModel, table=True):
    """One record of the change feed. `created` is in microseconds. Outlives its collection."""

    __tablename__ = "change"
    __table_args__ = (Index("ix_change_gun_id", "gun", "id"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, primary_key=True)
    created: int = Field(sa_type=BigInteger)
    gun: str = Field(max_length=255)
    version: int = Field(sa_type=BigInteger)
    sha256: str = Field(max_length=64)
    category: str = Field(max_length=16)


class SealRow(SQLModel, table=True):
    """The mark of the seal key: one row."""

    __tablename__ = "seal"

    id: int = Field(default=1, primary_key=True)
    mark: str = Field(max_length=64)


METADATA: Final = SQLModel.metadata
"""All of the tables, for migrations and their test."""
