"""Read an image manifest: its digest, its size and, for a multi-platform image, the manifests inside.

Sources: OCI image specification 1.1 (manifest, index), Docker image manifest version 2 schema 2. Everything is computed
from the received bytes; no HTTP header is trusted.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from trustcli.errors import ImageNotSupported
from trustdata import bounded_json

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
ACCEPT = f"{OCI_INDEX}, {OCI_MANIFEST}, {DOCKER_LIST}, {DOCKER_MANIFEST}"
"""The value of one Accept header: registries read only the first such header."""

MAX_MANIFEST = 4 * 1024 * 1024
"""Largest accepted size in bytes; registries accept no more (OCI distribution specification, "Pushing Manifests")."""
MAX_CHILDREN = 64
"""Largest number of manifests of one index that are signed beside it (docs/adr/0029)."""

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """An image manifest.

    `digest`: `sha256:HEX` of the bytes. `size`: their number. `children`: hex digests of an index.
    """

    digest: str
    size: int
    media_type: str
    children: tuple[str, ...]


class _Doubled(ValueError):
    pass


def read_manifest(raw: bytes, *, content_type: str, image: str) -> Manifest:
    """Check the bytes of a manifest and return it.

    `content_type`: used if the document does not name its own type. Raises: ImageNotSupported, with the reason in
    words.
    """
    content = _parsed(raw, image)
    media_type = _media_type(content, content_type.partition(";")[0].strip().lower(), image)
    is_index = media_type in INDEXES
    # A document that can be read both ways means different images to different clients (CVE-2021-41190).
    if ("manifests" in content) != is_index or (is_index and ("layers" in content or "config" in content)):
        raise ImageNotSupported(image=image, reason=f"its manifest says {media_type}, but is not built like one")
    return Manifest(
        digest=f"sha256:{hashlib.sha256(raw).hexdigest()}",
        size=len(raw),
        media_type=media_type,
        children=_children(content["manifests"], image) if is_index else (),
    )


def _parsed(raw: bytes, image: str) -> dict[str, object]:
    try:
        content = bounded_json.loads(raw, encoding="utf-8", pairs=_without_doubles)
    except _Doubled as error:
        raise ImageNotSupported(image=image, reason=f"its manifest has the member {error} twice") from error
    except (ValueError, RecursionError) as error:
        raise ImageNotSupported(image=image, reason="its manifest is not JSON") from error
    if not isinstance(content, dict):
        raise ImageNotSupported(image=image, reason="its manifest is no JSON object")
    return content


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for name, value in pairs:
        if name in members:
            raise _Doubled(name)
        members[name] = value
    return members


def _media_type(content: dict[str, object], content_type: str, image: str) -> str:
    version = content.get("schemaVersion")
    if isinstance(version, bool):
        version = None  # true equals 1
    if version == 1 or content_type.startswith("application/vnd.docker.distribution.manifest.v1"):
        reason = (
            "it is in the retired schema 1 format, which no current engine pulls; push it again with a current tool"
        )
        raise ImageNotSupported(image=image, reason=reason)
    if version != 2:
        raise ImageNotSupported(image=image, reason="its manifest has no schemaVersion 2")
    declared = content.get("mediaType")
    known = INDEXES | MANIFESTS
    media_type = content_type if declared is None else declared
    if not isinstance(media_type, str) or media_type not in known:
        raise ImageNotSupported(image=image, reason=f"its manifest is of the type {media_type!r}, which is no image")
    if content_type in known and content_type != media_type:
        raise ImageNotSupported(image=image, reason=f"the registry calls it {content_type}, its manifest {media_type}")
    return media_type


def _children(manifests: object, image: str) -> tuple[str, ...]:
    if not isinstance(manifests, list):
        raise ImageNotSupported(image=image, reason="manifests of its index is no list")
    children: dict[str, None] = {}
    for place, entry in enumerate(manifests):
        digest = entry.get("digest") if isinstance(entry, dict) else None
        match = _DIGEST.fullmatch(digest) if isinstance(digest, str) else None
        if match is None:
            raise ImageNotSupported(image=image, reason=f"manifest {place} of its index has no sha256 digest")
        children[match.group(1)] = None
    if len(children) > MAX_CHILDREN:
        raise ImageNotSupported(
            image=image, reason=f"its index holds {len(children)} manifests, more than {MAX_CHILDREN}"
        )
    return tuple(children)
