"""Distributed policies as artifacts of a registry: a manifest with one layer, by their digests."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

POLICY_TYPE = "application/vnd.content-trust.policy.v1+toml"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = b"{}"


def sha256(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


@dataclass(frozen=True, kw_only=True)
class PolicyArtifact:
    """`digest`: of the manifest (`sha256:HEX`). `contents`: manifest, configuration and layer, by digest."""

    digest: str
    contents: dict[str, bytes]


def policy_artifact(text: str, *, kind: str = POLICY_TYPE, layers: int = 1) -> PolicyArtifact:
    """A policy, as its owner pushes it; of another `kind`, or with more layers, something else."""
    layer = text.encode()
    descriptor = {"mediaType": kind, "digest": sha256(layer), "size": len(layer)}
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": POLICY_TYPE,
            "config": {"mediaType": EMPTY_TYPE, "digest": sha256(EMPTY), "size": len(EMPTY)},
            "layers": [descriptor] * layers,
        }
    ).encode()
    contents = {sha256(manifest): manifest, sha256(EMPTY): EMPTY, sha256(layer): layer}
    return PolicyArtifact(digest=sha256(manifest), contents=contents)
