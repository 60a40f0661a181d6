"""Read an image manifest: its digest, its size and, for a multi-platform image, the manifests inside.

Sources: OCI image specification 1.1 (manifest, index), Docker image manifest version 2 schema 2. Everything is computed
from the received bytes; no HTTP header is trusted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from trustcli.errors import ImageNotSupported
from trustdata import bounded_json
from trustdata.digest import hex_of, is_digest
from trustdata.verification.target_lookup import MAX_CHILDREN

OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
OCI_ARTIFACT: Final = "application/vnd.oci.artifact.manifest.v1+json"
ORAS_ARTIFACT: Final = "application/vnd.cncf.oras.artifact.manifest.v1+json"

INDEXES: Final = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFESTS: Final = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
ARTIFACTS: Final = frozenset({OCI_ARTIFACT, ORAS_ARTIFACT})
"""Retired manifests that list `blobs`. OCI's has no schemaVersion (image specification 1.1.0-rc2)."""
ACCEPT: Final = f"{OCI_INDEX}, {OCI_MANIFEST}, {DOCKER_LIST}, {DOCKER_MANIFEST}, {OCI_ARTIFACT}, {ORAS_ARTIFACT}"
"""The value of one Accept header: registries read only the first such header."""

MAX_MANIFEST: Final = 4 * 1024 * 1024
"""Largest accepted size in bytes; registries accept no more (OCI distribution specification, "Pushing Manifests")."""

_SINGLE: Final = frozenset({"config", "layers", "blobs"})
"""Members of documents that are no index."""
_SPELLED: Final = {
    name.casefold(): name
    for name in (*_SINGLE, "schemaVersion", "mediaType", "artifactType", "manifests", "subject", "digest", "size")
}
"""By what Go's programs compare, the members that say what is what."""
_SCHEMA_1: Final = "application/vnd.docker.distribution.manifest.v1"
_ATTESTATION: Final = "attestation-manifest"
"""BuildKit's: the value of the annotation `vnd.docker.reference.type`."""
_UNKNOWN: Final = "unknown"
"""The platform of what no engine runs, as BuildKit writes it: neither a system nor an architecture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """An image manifest.

    `digest`: `sha256:HEX` of the bytes. `size`: their number. `children`: hex digests of what an index lists, without
    attestations. `inner`: those of the children that are indexes themselves.
    """

    digest: str
    size: int
    media_type: str
    children: tuple[str, ...]
    inner: tuple[str, ...] = ()


class _Doubled(ValueError):
    pass


def read_manifest(raw: bytes, *, content_type: str, image: str) -> Manifest:
    """Check the bytes of a manifest and return it.

    What it is, its bytes say: the type that it names, else its members. `content_type` decides nothing; one that calls
    an index a manifest, or the other way round, is a contradiction. Raises: ImageNotSupported, with the reason in
    words.
    """
    content = _parsed(raw, image)
    told = content_type.partition(";")[0].strip().lower()
    media_type = _media_type(content, told, image)
    is_index = media_type in INDEXES
    # A document that can be read both ways means different images to different clients (CVE-2021-41190).
    if ("manifests" in content) != is_index or (is_index and _SINGLE & content.keys()):
        raise ImageNotSupported(image=image, reason=f"its manifest says {media_type}, but is not built like one")
    if told in (MANIFESTS | ARTIFACTS if is_index else INDEXES):
        raise ImageNotSupported(image=image, reason=f"the registry calls it {told}, its manifest {media_type}")
    children = _children(content["manifests"], image) if is_index else {}
    return Manifest(
        digest=f"sha256:{hashlib.sha256(raw).hexdigest()}",
        size=len(raw),
        media_type=media_type,
        children=tuple(children),
        inner=tuple(digest for digest, kind in children.items() if kind in INDEXES),
    )


def check_number(number: int, image: str) -> None:
    """Refuse an index over more manifests than one signature can list. Raises: ImageNotSupported, with the number."""
    if number > MAX_CHILDREN:
        reason = f"its index holds {number} manifests, more than {MAX_CHILDREN}"
        raise ImageNotSupported(image=image, reason=reason)


def _parsed(raw: bytes, image: str) -> dict[str, object]:
    try:
        content = bounded_json.loads(raw, encoding="utf-8", pairs=_without_doubles)
    except _Doubled as error:
        raise ImageNotSupported(image=image, reason=f"its manifest has the member {error} twice") from error
    except (ValueError, RecursionError) as error:
        raise ImageNotSupported(image=image, reason="its manifest is not JSON") from error
    if not isinstance(content, dict):
        raise ImageNotSupported(image=image, reason="its manifest is not a JSON object")
    if odd := _oddly_spelled(content):
        reason = f"its manifest has the member {odd!r}, which only some clients take for {_SPELLED[odd.casefold()]}"
        raise ImageNotSupported(image=image, reason=reason)
    return content


def _oddly_spelled(content: Mapping[str, object]) -> str | None:
    """Return a member of a manifest, or of what it lists, that Go's programs read as another one; None if none is.

    They compare names without regard to case (encoding/json), and of two the later one counts for them.
    """
    listed = [content.get("config"), content.get("subject")]
    for member in ("manifests", "layers", "blobs"):
        entries = content.get(member)
        listed += entries if isinstance(entries, list) else []
    for document in (content, *listed):
        for name in document if isinstance(document, dict) else ():
            if _SPELLED.get(name.casefold(), name) != name:
                return str(name)
    return None


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for name, value in pairs:
        if name in members:
            raise _Doubled(name)
        members[name] = value
    return members


def _media_type(content: dict[str, object], content_type: str, image: str) -> str:
    declared = content.get("mediaType")
    version = content.get("schemaVersion")
    if isinstance(version, bool):
        version = None  # true equals 1
    if version == 1 or (declared is None and content_type.startswith(_SCHEMA_1)):
        reason = (
            "it is in the retired schema 1 format, which no current engine pulls; push it again with a current tool"
        )
        raise ImageNotSupported(image=image, reason=reason)
    if version != 2 and not (version is None and declared in tuple(ARTIFACTS)):
        raise ImageNotSupported(image=image, reason="its manifest has no schemaVersion 2")
    media_type = _type_by_members(content) if declared is None else declared
    if not isinstance(media_type, str):
        raise ImageNotSupported(
            image=image, reason="its manifest names no type and is built like none, so it is no image"
        )
    if media_type not in INDEXES | MANIFESTS | ARTIFACTS:
        raise ImageNotSupported(image=image, reason=f"its manifest is of the type {media_type!r}, which is no image")
    # The same kind of document has two names, of which the registry may have told the other.
    return content_type if declared is None and _same_kind(content_type, media_type) else media_type


def _type_by_members(content: Mapping[str, object]) -> str | None:
    """Return the type of a document that names none; None if its members do not say it."""
    if "manifests" in content:
        return OCI_INDEX
    return OCI_MANIFEST if "config" in content and "layers" in content else None


def _same_kind(one: str, other: str) -> bool:
    return any(one in kind and other in kind for kind in (INDEXES, MANIFESTS))


def _children(manifests: object, image: str) -> dict[str, str]:
    """Return the digests (hex) of what an index lists, each once, with the types that it names."""
    if not isinstance(manifests, list):
        raise ImageNotSupported(image=image, reason="manifests of its index is no list")
    children: dict[str, str] = {}
    for place, entry in enumerate(manifests):
        digest = entry.get("digest") if isinstance(entry, dict) else None
        if not isinstance(digest, str) or not is_digest(digest):
            raise ImageNotSupported(image=image, reason=f"manifest {place} of its index has no sha256 digest")
        if not _is_attestation(entry):
            children.setdefault(hex_of(digest), str(entry.get("mediaType")))
    check_number(len(children), image)
    return children


def _is_attestation(entry: Mapping[str, object]) -> bool:
    """Return whether an entry of an index says that it is an attestation, and is for no platform.

    Engines choose by the platform, and do not look at the annotation: what has one, or none at all, may be run.
    """
    annotations, platform = entry.get("annotations"), entry.get("platform")
    if not isinstance(annotations, dict) or annotations.get("vnd.docker.reference.type") != _ATTESTATION:
        return False
    return isinstance(platform, dict) and (platform.get("os"), platform.get("architecture")) == (_UNKNOWN, _UNKNOWN)
