"""Collections as parsed: what is stored, and what it says. The newest few are kept, bounded by bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Final

from trustdata.envelope import Envelope
from trustdata.errors import PublishRefused
from trustdata.gun import GUN
from trustdata.roles import RoleName
from trustserver.repository.formats import ServedFormat, find_format
from trustserver.storage.ports import MetadataStore, Status, StoredCollection, StoredFile

PARSED_BYTES: Final = 8 * 1024 * 1024
"""File bytes of the collections kept parsed, in all. Parsed they take about twelve times as much memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedCollection:
    """One revision of a collection with its current files parsed, or some of them."""

    state: StoredCollection
    envelopes: Mapping[RoleName, Envelope]

    @property
    def size(self) -> int:
        return sum(len(envelope.raw) for envelope in self.envelopes.values())

    @property
    def complete(self) -> bool:
        """Whether every current file is parsed."""
        return self.envelopes.keys() == self.state.files.keys()


class ParsedCache:
    """Reads through to the store. What it remembers may be out of date: whoever writes compares and swaps."""

    def __init__(self, store: MetadataStore, *, limit: int = PARSED_BYTES) -> None:
        self._store = store
        self._limit = limit
        self._lock = Lock()
        self._kept: OrderedDict[GUN, ParsedCollection] = OrderedDict()
        self._bytes = 0

    def remembered(self, gun: GUN) -> ParsedCollection | None:
        """What is kept of this name, perhaps out of date."""
        with self._lock:
            found = self._kept.get(gun)
            if found is not None:
                self._kept.move_to_end(gun)
            return found

    def load(self, gun: GUN, *, least: Collection[RoleName] | None = None) -> ParsedCollection:
        """What is stored now; with `least`, perhaps no more than these roles of it.

        Raises: PublishRefused for a format that this server does not judge, NotStored.
        """
        state = self._store.load(gun)
        served_format = format_of(state) if state.files else None
        known = self.remembered(gun)
        if known is not None and known.state.revision == state.revision:
            return known
        envelopes = {
            role: _parse(file, known, served_format)
            for role, file in state.files.items()
            if served_format is not None and (least is None or role in least)
        }
        parsed = ParsedCollection(state=state, envelopes=envelopes)
        self.remember(parsed)
        return parsed

    def remember(self, parsed: ParsedCollection) -> None:
        """Keep this revision unless a newer one is kept; what is incomplete or without files is never kept."""
        gun, size = parsed.state.gun, parsed.size
        if parsed.state.status is not Status.LIVE or not parsed.complete or size > self._limit:
            return
        with self._lock:
            known = self._kept.get(gun)
            if known is not None and known.state.revision > parsed.state.revision:
                return
            self._drop(gun)
            self._kept[gun] = parsed
            self._bytes += size
            while self._bytes > self._limit:
                self._drop(next(iter(self._kept)))

    def forget(self, gun: GUN) -> None:
        """Keep nothing of this name."""
        with self._lock:
            self._drop(gun)

    def _drop(self, gun: GUN) -> None:
        dropped = self._kept.pop(gun, None)
        if dropped is not None:
            self._bytes -= dropped.size


def format_of(state: StoredCollection) -> ServedFormat:
    """The format of a collection with files. Raises: PublishRefused for one that this version does not know."""
    served_format = find_format(state.format)
    if served_format is None:
        raise PublishRefused(role="collection", reason=f"is in format {state.format}, which this server does not judge")
    return served_format


def _parse(file: StoredFile, known: ParsedCollection | None, served_format: ServedFormat) -> Envelope:
    before = known.envelopes.get(file.role) if known else None
    if before is not None and before.sha256 == file.sha256:
        return before
    return served_format.wire.parse(file.role, file.raw)
