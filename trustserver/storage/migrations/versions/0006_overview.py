"""Add what a list of collections shows: when owners last published and who did, and how many tags a role lists."""

from __future__ import annotations

from typing import Final

import orjson
import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_BATCH: Final = 500
_LISTING: Final = ("targets", "delegation")
"""The kinds of roles that list tags."""


def upgrade() -> None:
    """Add the columns, and count the tags of the files that are stored. Who published them is not known any more."""
    op.add_column("collection", sa.Column("published_at", sa.BigInteger(), nullable=True))
    op.add_column("collection", sa.Column("published_by", sa.String(255), nullable=False, server_default=""))
    op.add_column("current_file", sa.Column("tags", sa.BigInteger(), nullable=True))
    connection = op.get_bind()
    current = sa.table("current_file", *map(sa.column, ("file_id", "kind", "tags")))
    file = sa.table("file", *map(sa.column, ("id", "raw")))
    listing = sa.select(current.c.file_id).where(current.c.kind.in_(_LISTING)).order_by(current.c.file_id)
    after = 0
    while found := connection.execute(listing.where(current.c.file_id > after).limit(_BATCH)).scalars().all():
        for number in found:
            raw = connection.execute(sa.select(file.c.raw).where(file.c.id == number)).scalar_one()
            counted = sa.update(current).where(current.c.file_id == number).values(tags=_tags(raw))
            connection.execute(counted)
        after = found[-1]


def _tags(raw: bytes) -> int | None:
    """Return how many tags a file lists; None for one that is damaged, which `trust-server check` reports."""
    try:
        return len(orjson.loads(raw)["signed"]["targets"])
    except (ValueError, KeyError, TypeError):
        return None
