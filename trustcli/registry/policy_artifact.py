"""A policy that is distributed, as an OCI artifact: one manifest with one layer, which is the file as it is.

Source: OCI image specification 1.1, "Guidelines for Artifact Usage". What is fetched is what its digest says, which
whoever asks has verified; the registry is not trusted.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

from keys.record import record
from trustdata import bounded_json
from trustdata.digest import is_digest
from trustdata.errors import PolicyMalformed

if TYPE_CHECKING:
    from trustcli.registry.client import Registry
    from trustcli.registry.reference import ImageReference

POLICY_TYPE: Final = "application/vnd.content-trust.policy.v1+toml"
"""The media type of the layer: what was signed as an image is never read as a policy."""
MAX_POLICY: Final = 1024 * 1024
"""The highest number of bytes that is fetched, on each node and for each change."""
_MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
_EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"
_EMPTY: Final = b"{}"


@record
class PolicyArtifact:
    """A policy as it is pushed. `digest`: of the manifest (`sha256:HEX`). `blobs`: what the manifest names."""

    digest: str
    manifest: bytes
    blobs: tuple[bytes, ...]


def policy_artifact(policy: bytes) -> PolicyArtifact:
    """Return the artifact of a policy: of the same bytes always the same one, whoever makes it."""
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST_TYPE,
            "artifactType": POLICY_TYPE,
            "config": _descriptor(_EMPTY_TYPE, _EMPTY),
            "layers": [_descriptor(POLICY_TYPE, policy)],
        },
        separators=(",", ":"),
    ).encode()
    return PolicyArtifact(digest=_digest(manifest), manifest=manifest, blobs=(_EMPTY, policy))


def _descriptor(kind: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": kind, "digest": _digest(blob), "size": len(blob)}


def _digest(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def policy_layer(manifest: bytes, *, source: str) -> str:
    """Return the digest of the policy that a manifest names. Raises: PolicyMalformed (it is of something else)."""
    try:
        document = bounded_json.loads(manifest, encoding="utf-8")
    except (ValueError, RecursionError) as error:
        raise PolicyMalformed(source=source, path="", reason="its manifest is not JSON") from error
    layers = document.get("layers") if isinstance(document, dict) else None
    layer = layers[0] if isinstance(layers, list) and len(layers) == 1 else None
    digest = layer.get("digest") if isinstance(layer, dict) and layer.get("mediaType") == POLICY_TYPE else None
    if not isinstance(digest, str) or not is_digest(digest):
        reason = f"is no artifact with one layer of the type {POLICY_TYPE}"
        raise PolicyMalformed(source=source, path="layers", reason=reason)
    return digest


def fetch_policy(registry: Registry, reference: ImageReference) -> bytes:
    """Return the policy in the artifact that a reference names by digest.

    Raises: PolicyMalformed (another artifact), and as `Registry.resolve`.
    """
    digest = policy_layer(registry.manifest_bytes(reference), source=str(reference))
    return registry.blob(reference, digest, limit=MAX_POLICY)
