"""Rollback memory on disk: `seen.json`, what this machine has verified of every collection.

    {"format": "content-trust-seen-1", "collections": {NAME: what rollback_memory.to_document gives}}

A damaged file is refused, never begun anew: to forget is what an attacker wants. Who means it removes the file.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

from trustcli.state.guarded_file import GuardedFile
from trustdata.errors import MalformedMetadata, MemoryDamaged, RootNotPinned
from trustdata.gun import GUN
from trustdata.verification.rollback_memory import Memory, from_document, merge, to_document

_FORMAT: Final = "content-trust-seen-1"


class MemoryFile:
    """Rollback memory by collection. Processes that remember at the same time lose nothing of each other."""

    def __init__(self, path: Path) -> None:
        self._file = GuardedFile(path)

    def load(self, gun: GUN) -> Memory | None:
        """What is remembered, or None if the name is unknown here.

        Raises: MemoryDamaged naming the file, also if it cannot be read: nothing known is not the same as unknown.
        """
        document = self._collections().get(gun)
        return None if document is None else self._read(document)

    def remember(self, gun: GUN, memory: Memory) -> None:
        """Merge what was just verified into what is remembered; durable when it returns.

        Raises: RootNotPinned (another root of trust is remembered: `forget` it first), MemoryUnwritable, MemoryDamaged.
        """

        def merged() -> bytes | None:
            collections = self._collections()
            known = collections.get(gun)
            if known is None:
                new = memory
            else:
                before = self._read(known)
                if before.root_of_trust != memory.root_of_trust:
                    raise RootNotPinned(
                        gun=gun,
                        pin=f"sha256:{before.root_of_trust}",
                        pin_source="rollback memory",
                        found=f"sha256:{memory.root_of_trust}",
                    )
                # The newest refresh counts, not the latest time: a clock that was ahead once must not stop --offline
                # for as long as it was ahead.
                new = replace(merge(before, memory), refreshed=memory.refreshed or before.refreshed)
                if new == before:
                    return None
            return _document({**collections, gun: to_document(new)})

        self._file.change(merged)

    def forget(self, gun: GUN) -> None:
        """Start anew with this collection (`pin --replace`). Raises: MemoryUnwritable, MemoryDamaged."""

        def without() -> bytes | None:
            collections = self._collections()
            if gun not in collections:
                return None
            return _document({name: memory for name, memory in collections.items() if name != gun})

        self._file.change(without)

    def _collections(self) -> dict[str, object]:
        try:
            raw = self._file.read()
        except OSError as error:
            raise self._damaged(error.strerror or type(error).__name__) from error
        if raw is None:
            return {}
        try:
            document = json.loads(raw, object_pairs_hook=_without_duplicates)
        except (ValueError, RecursionError) as error:
            raise self._damaged("is no JSON; restore it from a backup, or remove it to start without memory") from error
        if not isinstance(document, dict) or set(document) != {"format", "collections"}:
            raise self._damaged("is no rollback memory")
        if document["format"] != _FORMAT:
            raise self._damaged(f"is not of format {_FORMAT}: a newer program may have written it")
        collections = document["collections"]
        if not isinstance(collections, dict):
            raise self._damaged("is no rollback memory")
        return collections

    def _read(self, document: object) -> Memory:
        try:
            return from_document(document, place=str(self._file.path))
        except MalformedMetadata as error:
            raise self._damaged(error.reason) from error

    def _damaged(self, reason: str) -> MemoryDamaged:
        return MemoryDamaged(path=str(self._file.path), reason=reason)


def _document(collections: dict[str, object]) -> bytes:
    return json.dumps({"format": _FORMAT, "collections": collections}, separators=(",", ":")).encode() + b"\n"


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate member")
    return result
