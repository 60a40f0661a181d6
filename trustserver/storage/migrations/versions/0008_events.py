"""Add the record of each change: its events, who made them, their numbers, and how far webhooks have been told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the tables. The record begins here: of earlier changes there are none."""
    op.add_column("current_file", sa.Column("expiry_told", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("collection", sa.Column("events", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "event",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("gun", sa.String(255), nullable=False),
        sa.Column("name_number", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_event_gun_number", "event", ["gun", "number"])
    op.create_table(
        "event_person",
        sa.Column("number", sa.Integer(), sa.ForeignKey("event.number", ondelete="CASCADE"), primary_key=True),
        sa.Column("part", sa.String(8), primary_key=True),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("client", sa.String(255), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "event_head",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("newest", sa.BigInteger(), nullable=False),
        sa.Column("dropped", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "webhook",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("told", sa.BigInteger(), nullable=False),
    )
    head = sa.table("event_head", *map(sa.column, ("id", "newest", "dropped")))
    op.bulk_insert(head, [{"id": 1, "newest": 0, "dropped": 0}])
