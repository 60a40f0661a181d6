"""The tables of the database. A change here needs a migration in migrations/versions; a test compares the two.

They are plain tables: statements name columns, and no row ever becomes an object that tracks its changes. So neither
SQLAlchemy's ORM nor SQLModel is loaded, which took a quarter of the time in which the operator's commands start.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

# Times are whole seconds since 1970 (UTC), because every database sorts and compares integers in the same way.

METADATA: Final = MetaData()
"""All tables, for the migrations and their test."""

COLLECTION: Final = Table(
    "collection",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("gun", String(255), nullable=False, unique=True),
    Column("format", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("renew_at", BigInteger, index=True),
    Column("deleted_root", String(64), nullable=False, default=""),
    Column("deleted_versions", String, nullable=False, default="{}"),
    Column("deleted_at", BigInteger),
    Column("deleted_by", String(255), nullable=False, default=""),
    Column("created_by", String(255), nullable=False, default="", server_default="", index=True),
    Column("published_at", BigInteger),
    Column("published_by", String(255), nullable=False, default="", server_default=""),
)
"""One row for each name of a collection. A deleted one keeps its row, so that its revision never goes back."""

FILE: Final = Table(
    "file",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("collection_id", ForeignKey("collection.id", ondelete="CASCADE"), nullable=False),
    Column("role", String(255), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("stored_at", BigInteger),
    Column("raw", LargeBinary, nullable=False),
    UniqueConstraint("collection_id", "role", "version"),
    Index("ix_file_sha256", "collection_id", "role", "sha256"),
    Index("ix_file_stored_at", "collection_id", "role", "version", "stored_at"),
)
"""Each version of each role. `raw`: the file, byte for byte as it was uploaded or signed here."""

CURRENT: Final = Table(
    "current_file",
    METADATA,
    Column("collection_id", ForeignKey("collection.id", ondelete="CASCADE"), primary_key=True),
    Column("role", String(255), primary_key=True),
    Column("file_id", ForeignKey("file.id"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("tags", BigInteger),
    Index("ix_current_file_kind_expires", "kind", "expires"),
)
"""The newest version of each role of a collection. `kind` and `expires` are here for the metrics.

`tags`: how many it lists; NULL for a role that lists none.
"""

ONLINE_KEY: Final = Table(
    "online_key",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("gun", String(255), nullable=False),
    Column("role", String(16), nullable=False),
    Column("keyid", String(64), nullable=False),
    Column("public", String, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("gun", "role", "keyid"),
    Index("ix_online_key_state", "state", "created"),
)
"""Server-held keys. Each has the name of its collection: early versions stored keys before there was one."""

OFFER_SALT: Final = Table(
    "offer_salt",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("created", BigInteger, nullable=False),
    Column("salt", LargeBinary, nullable=False),
)
"""Salts from which keys are derived for names without data (OfferSalt)."""

CHANGE: Final = Table(
    "change",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("created", BigInteger, nullable=False),
    Column("gun", String(255), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("category", String(16), nullable=False),
    Index("ix_change_gun_id", "gun", "id"),
    sqlite_autoincrement=True,
)
"""The records of the change feed, kept when their collection is deleted. `created`: microseconds since 1970."""

SEAL: Final = Table(
    "seal",
    METADATA,
    Column("id", Integer, primary_key=True, default=1),
    Column("mark", String(64), nullable=False),
)
"""The mark of the seal key (KeySealer.mark). The table has one row."""

CLOCK: Final = Table(
    "clock",
    METADATA,
    Column("id", Integer, primary_key=True, default=1),
    Column("last_round", BigInteger, nullable=False),
    Column("accepted", BigInteger),
)
"""What is recorded of the server's clock (ClockRecord). The table has one row, or none."""
