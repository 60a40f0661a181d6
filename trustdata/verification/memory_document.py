"""Read and write the content of `seen.json`, the rollback memory of one machine for all collections.

    {"format": "content-trust-seen-1", "collections": {NAME: the result of rollback_memory.to_document}}

A damaged file is refused and never replaced by an empty one, because an attacker may want the machine to forget. The
user can remove the file to start without memory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from keys.document_version import DocumentKind
from keys.json_members import unique_members
from trustdata.document_version import refuse_newer
from trustdata.errors import MalformedMetadata, MemoryDamaged
from trustdata.verification.rollback_memory import Memory, from_document

KIND: Final = DocumentKind(what="a rollback memory", name="content-trust-seen-")


def read_collections(raw: bytes, *, path: str) -> dict[str, object]:
    """Read the file and return the entries by name, not decoded yet: most callers need only one of them.

    `read_memory` decodes an entry. `path`: the name of the file in error messages. Raises: MemoryDamaged, FileNewer.
    """
    try:
        document = json.loads(raw, object_pairs_hook=unique_members)
    except (ValueError, RecursionError) as error:
        reason = "is not JSON; restore it from a backup, or remove it to start without memory"
        raise MemoryDamaged(path=path, reason=reason) from error
    refuse_newer(KIND, document, path=path)
    if not isinstance(document, dict) or set(document) != {"format", "collections"}:
        raise MemoryDamaged(path=path, reason="is no rollback memory")
    if not KIND.is_known(document):
        raise MemoryDamaged(path=path, reason=f"is not of format {KIND.stated}")
    collections = document["collections"]
    if not isinstance(collections, dict):
        raise MemoryDamaged(path=path, reason="is no rollback memory")
    return collections


def read_memory(entry: object, *, path: str) -> Memory:
    """Decode one entry. `path`: the name of the file in error messages. Raises: MemoryDamaged."""
    try:
        return from_document(entry, place=path)
    except MalformedMetadata as error:
        raise MemoryDamaged(path=path, reason=error.reason) from error


def write_collections(collections: Mapping[str, object]) -> bytes:
    """Return the content of the file. `collections`: by name, the results of `rollback_memory.to_document`."""
    return json.dumps({"format": KIND.stated, "collections": collections}, separators=(",", ":")).encode() + b"\n"
