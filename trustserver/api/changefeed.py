"""The change feed of Notary v1: parse the query of a request, and write the records as JSON."""

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
"""The highest number of records in one response. A client that needs more asks again, from the last id on."""
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,10}", re.ASCII)
_INT32: Final = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedQuery:
    """The records that a request asks for: `count` of them, after the id `start` or, if `backwards`, before it.

    `start` None: the newest records (only if `backwards`).
    """

    start: int | None
    count: int
    backwards: bool

    def read(self, store: MetadataStore, gun: GUN | None) -> bytes:
        """Read the records and return them as JSON. `gun` None: the records of every collection. Raises: NotStored."""
        if self.backwards:
            return _serialize(store.changes_before(gun, before=self.start, limit=self.count))
        return _serialize(store.changes(gun, after=self.start or 0, limit=self.count))


def parse_feed_query(query: bytes) -> FeedQuery:
    """Parse the query of a request, which may have two parameters.

    `records`: how many; 0 stands for DEFAULT_RECORDS, a negative number for the records before `change_id`.
    `change_id`: the id to begin at; -1 stands for the newest record. Raises: BadParameters.
    """
    values = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    records = _integer("records", values.get("records", [""])[0])
    after = _integer("change_id", values.get("change_id", [""])[0] or "0")
    backwards = records < 0 or after < 0
    count = min(abs(records) or DEFAULT_RECORDS, MAX_RECORDS)
    # There are no records before the first one, so `before 0` means the newest records, as in Notary.
    return FeedQuery(start=None if backwards and after <= 0 else after, count=count, backwards=backwards)


def _integer(name: str, text: str) -> int:
    if not _INTEGER.fullmatch(text) or not -_INT32 <= int(text) < _INT32:
        raise BadParameters(place=name, reason="must be an integer")
    return int(text)


def _serialize(changes: Iterable[FeedRecord]) -> bytes:
    records = [
        {
            "ID": str(change.id),
            "CreatedAt": _rfc3339(change.created),
            "GUN": change.gun,
            "Version": change.version,
            "SHA256": change.sha256,
            "Category": change.category,
        }
        for change in changes
    ]
    return orjson.dumps({"count": len(records), "records": records})


def _rfc3339(at: datetime) -> str:
    """Format a time as in RFC 3339, without zeros at the end of the fraction of a second, as Go does."""
    at = at.astimezone(UTC)
    fraction = f".{at.microsecond:06}".rstrip("0") if at.microsecond else ""
    return f"{at:%Y-%m-%dT%H:%M:%S}{fraction}Z"
