"""A cache of collections whose files are parsed when they are asked for, limited in bytes.

Parsing a large file takes long.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Final

from trustdata.envelope import Envelope
from trustdata.errors import PublishRefused
from trustdata.gun import GUN
from trustdata.json_bounds import most_values
from trustdata.roles import RoleName
from trustserver.repository.formats import ServedFormat, find_format
from trustserver.repository.stored_envelope import StoredEnvelope
from trustserver.storage.ports import MetadataStore, Status, StoredCollection, StoredFile

PARSED_BYTES: Final = 8 * 1024 * 1024
"""The size of the cache, in bytes of ordinary files (`ordinary_size`). Parsed they take up to ten times as much."""
_ORDINARY: Final = 8
"""Bytes for each value in a file of tags."""


def ordinary_size(raw: bytes) -> int:
    """Return the size of the file of tags that takes as much memory as this file: a file may have more values."""
    return max(len(raw), _ORDINARY * most_values(raw))


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedCollection:
    """One revision of a collection, with all or some of its current files, parsed or not."""

    state: StoredCollection
    envelopes: Mapping[RoleName, Envelope]

    @property
    def complete(self) -> bool:
        """Whether every current file is among the envelopes."""
        return self.envelopes.keys() == self.state.files.keys()


class ParsedCache:
    """Reads collections from the store and keeps them parsed.

    A kept collection may be outdated. That is safe, since a change is committed only if the revision still fits.
    """

    def __init__(self, store: MetadataStore, *, limit: int = PARSED_BYTES) -> None:
        self._store = store
        self._limit = limit
        self._lock = Lock()
        self._kept: OrderedDict[GUN, ParsedCollection] = OrderedDict()
        self._sizes: dict[GUN, dict[tuple[RoleName, str], int]] = {}  # of each file, by role and hash
        self._bytes = 0

    def remembered(self, gun: GUN) -> ParsedCollection | None:
        """Return the kept collection of this name, which may be outdated; None if there is none."""
        with self._lock:
            found = self._kept.get(gun)
            if found is not None:
                self._kept.move_to_end(gun)
            return found

    def load(self, gun: GUN, *, needed: Collection[RoleName] | None = None) -> ParsedCollection:
        """Return the collection as it is stored now. `needed`: the roles that are wanted; None for all.

        Raises: PublishRefused if this version of the server does not know its format; NotStored.
        """
        state = self._store.load(gun)
        served_format = format_of(state) if state.files else None
        cached = self.remembered(gun)
        if cached is not None and cached.state.revision == state.revision:
            return cached
        envelopes = {
            role: _envelope(file, cached, served_format)
            for role, file in state.files.items()
            if served_format is not None and (needed is None or role in needed)
        }
        parsed = ParsedCollection(state=state, envelopes=envelopes)
        self.remember(parsed)
        return parsed

    def remember(self, parsed: ParsedCollection) -> None:
        """Keep a collection, unless a newer revision is kept, it is deleted, too large, or not complete."""
        gun = parsed.state.gun
        if parsed.state.status is not Status.LIVE or not parsed.complete:
            return
        if sum(len(file.raw) for file in parsed.envelopes.values()) > self._limit:
            return  # without counting the values of what is large anyway
        known = self._sizes.get(gun, {})
        sizes = {
            (role, file.sha256): known.get((role, file.sha256)) or ordinary_size(file.raw)
            for role, file in parsed.envelopes.items()
        }
        size = sum(sizes.values())
        if size > self._limit:
            return
        with self._lock:
            cached = self._kept.get(gun)
            if cached is not None and cached.state.revision > parsed.state.revision:
                return
            self._drop(gun)
            self._kept[gun] = parsed
            self._sizes[gun] = sizes
            self._bytes += size
            while self._bytes > self._limit:
                self._drop(next(iter(self._kept)))

    def forget(self, gun: GUN) -> None:
        """Drop what is kept under this name."""
        with self._lock:
            self._drop(gun)

    def _drop(self, gun: GUN) -> None:
        dropped = self._kept.pop(gun, None)
        if dropped is not None:
            self._bytes -= sum(self._sizes.pop(gun).values())


def format_of(state: StoredCollection) -> ServedFormat:
    """Return the format of a collection. Raises: PublishRefused if this version of the server does not know it."""
    served_format = find_format(state.format)
    if served_format is None:
        raise PublishRefused(role="collection", reason=f"is in format {state.format}, which this server does not judge")
    return served_format


def _envelope(file: StoredFile, cached: ParsedCollection | None, served_format: ServedFormat) -> Envelope:
    before = cached.envelopes.get(file.role) if cached else None
    if before is not None and before.sha256 == file.sha256:
        return before
    return StoredEnvelope(file, served_format.wire)
