"""List what a manifest names by digest: what a signature on its digest vouches for as well.

Sources: OCI image specification 1.1 (manifest, index), Docker image manifest version 2 schema 2. The bytes were hashed
before: what stands in them was signed with the digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from keys.record import record
from trustcli.registry.manifest import ARTIFACTS, INDEXES
from trustdata import bounded_json
from trustdata.digest import is_digest

_RUNNABLE: Final = frozenset(
    {
        "",
        "application/octet-stream",
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.docker.plugin.v1+json",
        "application/vnd.oci.image.config.v1+json",
    }
)
"""Types of a config that an engine takes for that of an image or a plugin; the first two are of old registries."""
_SAYS_NOTHING: Final = frozenset(f"sha256:{hashlib.sha256(content).hexdigest()}" for content in (b"{}", b""))
"""The digests of configs by which nothing can be run: those of artifacts (OCI's `application/vnd.oci.empty.v1+json`).

Not every runtime looks at the type of a config before it runs what the config describes.
"""
MAX_NAMED: Final = 4096
"""The most digests that one manifest may name."""


@record
class Named:
    """What a manifest names: manifests (of an index), blobs (config and layers); and the subject that it is about.

    `sha256:HEX`, each once, in order. `indexes`: those of the manifests that name manifests again, as it says; one of
    which it says nothing is among them. `subject`: empty for none. `is_artifact`: whether no engine can run it.
    """

    manifests: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()
    indexes: frozenset[str] = frozenset()
    subject: str = ""
    is_artifact: bool = False


def named_in(raw: bytes) -> Named:
    """Return what a manifest names. Attestations that an index lists are among it: they were signed with it.

    Raises: ValueError, with the reason in words (no JSON object, or more than MAX_NAMED digests).
    """
    try:
        content = bounded_json.loads(raw, encoding="utf-8")
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(content, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004 - the bytes are wrong, not a caller's type
    listed = content.get("manifests")
    manifests = tuple(dict.fromkeys(_digests(listed)))
    indexes = frozenset(_digests(listed, kinds=(*INDEXES, None)))
    single = [content.get("config")] if "config" in content else []
    blobs = tuple(
        dict.fromkeys(
            digest for part in (single, content.get("layers"), content.get("blobs")) for digest in _digests(part)
        )
    )
    if len(manifests) + len(blobs) > MAX_NAMED:
        raise ValueError(f"it names more than {MAX_NAMED} digests")
    subject = next(_digests([content.get("subject")]), "")
    return Named(manifests=manifests, blobs=blobs, indexes=indexes, subject=subject, is_artifact=_is_artifact(content))


def _is_artifact(content: Mapping[str, object]) -> bool:
    """Return whether nothing can be run by its config: its type is not an image's, and its content says nothing.

    So it is for the retired types that have only blobs and no config.
    """
    if "manifests" in content:
        return False
    config = content.get("config")
    if not isinstance(config, dict):
        return config is None and content.get("mediaType") in tuple(ARTIFACTS)
    kind = config.get("mediaType")
    if not isinstance(kind, str) or kind.partition(";")[0].strip().lower() in _RUNNABLE:
        return False
    return config.get("digest") in tuple(_SAYS_NOTHING)


def _digests(entries: object, *, kinds: Collection[str | None] = ()) -> Iterator[str]:
    """Yield the digests of descriptors; with `kinds` of those that say that they are one of these."""
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict) or (kinds and entry.get("mediaType") not in tuple(kinds)):
            continue
        digest = entry.get("digest")
        if isinstance(digest, str) and is_digest(digest):
            yield digest
