"""The content of rollback memory's file, `seen.json`: what one machine has verified of every collection.

    {"format": "content-trust-seen-1", "collections": {NAME: what rollback_memory.to_document gives}}

A damaged content is refused, never begun anew: to forget is what an attacker wants. Who means it removes the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from trustdata.errors import MalformedMetadata, MemoryDamaged
from trustdata.verification.rollback_memory import Memory, from_document

MEMORY_FORMAT: Final = "content-trust-seen-1"


def read_collections(raw: bytes, *, path: str) -> dict[str, object]:
    """Read the entries by name, each still to be read with `read_memory`: most callers need one of them.

    `path`: how errors call the file. Raises: MemoryDamaged.
    """
    try:
        document = json.loads(raw, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        reason = "is no JSON; restore it from a backup, or remove it to start without memory"
        raise MemoryDamaged(path=path, reason=reason) from error
    if not isinstance(document, dict) or set(document) != {"format", "collections"}:
        raise MemoryDamaged(path=path, reason="is no rollback memory")
    if document["format"] != MEMORY_FORMAT:
        reason = f"is not of format {MEMORY_FORMAT}: a newer program may have written it"
        raise MemoryDamaged(path=path, reason=reason)
    collections = document["collections"]
    if not isinstance(collections, dict):
        raise MemoryDamaged(path=path, reason="is no rollback memory")
    return collections


def read_memory(entry: object, *, path: str) -> Memory:
    """Read one entry. Raises: MemoryDamaged."""
    try:
        return from_document(entry, place=path)
    except MalformedMetadata as error:
        raise MemoryDamaged(path=path, reason=error.reason) from error


def write_collections(collections: Mapping[str, object]) -> bytes:
    """Return the file's content. `collections`: entries by name, as `rollback_memory.to_document` gives them."""
    return json.dumps({"format": MEMORY_FORMAT, "collections": collections}, separators=(",", ":")).encode() + b"\n"


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate member")
    return result
