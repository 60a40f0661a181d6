"""The change feed: which records a query asks for, and how they are written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qs

import orjson

from trustdata.gun import GUN
from trustserver.errors import BadParameters
from trustserver.storage.ports import FeedRecord, MetadataStore

DEFAULT_RECORDS: Final = 100
MAX_RECORDS: Final = 10_000
"""Records of one answer; whoever asks for more goes on with the last id."""
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,10}", re.ASCII)
_INT32: Final = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedQuery:
    """`count` records after the id `start`, or, `backwards`, before it; None: from the end."""

    start: int | None
    count: int
    backwards: bool

    def read(self, store: MetadataStore, gun: GUN | None) -> bytes:
        """The answer; `gun` None: about every collection. Raises: NotStored."""
        if self.backwards:
            return _written(store.changes_before(gun, before=self.start, limit=self.count))
        return _written(store.changes(gun, after=self.start or 0, limit=self.count))


def parse_feed_query(query: bytes) -> FeedQuery:
    """`records`: how many, 0 for a hundred, negative for those before; `change_id`: from where, -1 for the end.

    Raises: BadParameters.
    """
    values = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    records = _integer("records", values.get("records", [""])[0])
    after = _integer("change_id", values.get("change_id", [""])[0] or "0")
    backwards = records < 0 or after < 0
    count = min(abs(records) or DEFAULT_RECORDS, MAX_RECORDS)
    # Before the first record there is nothing: as in Notary, nothing named means the end.
    return FeedQuery(start=None if backwards and after <= 0 else after, count=count, backwards=backwards)


def _integer(name: str, text: str) -> int:
    if not _INTEGER.fullmatch(text) or not -_INT32 <= int(text) < _INT32:
        raise BadParameters(place=name, reason="must be an integer")
    return int(text)


def _written(changes: Iterable[FeedRecord]) -> bytes:
    records = [
        {
            "ID": str(change.id),
            "CreatedAt": _moment(change.created),
            "GUN": change.gun,
            "Version": change.version,
            "SHA256": change.sha256,
            "Category": change.category,
        }
        for change in changes
    ]
    return orjson.dumps({"count": len(records), "records": records})


def _moment(at: datetime) -> str:
    """RFC 3339 as Go writes it: a fraction of a second without zeros at its end."""
    at = at.astimezone(UTC)
    fraction = f".{at.microsecond:06}".rstrip("0") if at.microsecond else ""
    return f"{at:%Y-%m-%dT%H:%M:%S}{fraction}Z"
