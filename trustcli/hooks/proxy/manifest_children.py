"""List what a manifest names by digest: what a signature on its digest vouches for as well.

Sources: OCI image specification 1.1 (manifest, index), Docker image manifest version 2 schema 2. The bytes were hashed
before: what stands in them was signed with the digest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from keys.record import record
from trustdata import bounded_json
from trustdata.digest import is_digest

MAX_NAMED: Final = 4096
"""The most digests that one manifest may name."""


@record
class Named:
    """What a manifest names: manifests (of an index), blobs (config and layers); and the subject that it is about.

    `sha256:HEX`, each once, in order. `subject`: empty for none.
    """

    manifests: tuple[str, ...]
    blobs: tuple[str, ...]
    subject: str = ""


def named_in(raw: bytes) -> Named:
    """Return what a manifest names. Attestations that an index lists are among it: they were signed with it.

    Raises: ValueError, with the reason in words (no JSON object, or more than MAX_NAMED digests).
    """
    try:
        content = bounded_json.loads(raw, encoding="utf-8")
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - the bytes are wrong, not a caller's type
    manifests = tuple(dict.fromkeys(_digests(content.get("manifests"))))
    single = [content.get("config")] if "config" in content else []
    blobs = tuple(
        dict.fromkeys(
            digest for part in (single, content.get("layers"), content.get("blobs")) for digest in _digests(part)
        )
    )
    if len(manifests) + len(blobs) > MAX_NAMED:
        raise ValueError(f"it names more than {MAX_NAMED} digests")
    return Named(manifests=manifests, blobs=blobs, subject=next(_digests([content.get("subject")]), ""))


def _digests(entries: object) -> Iterator[str]:
    for entry in entries if isinstance(entries, list) else ():
        digest = entry.get("digest") if isinstance(entry, dict) else None
        if isinstance(digest, str) and is_digest(digest):
            yield digest
