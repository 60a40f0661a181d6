"""Fetch a policy that is distributed as an OCI artifact: one manifest with one layer, which is the file as it is.

Source: OCI image specification 1.1, "Guidelines for Artifact Usage". What is fetched is what its digest says, which
whoever asks has verified; the registry is not trusted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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


def fetch_policy(registry: Registry, reference: ImageReference) -> bytes:
    """Return the policy in the artifact that a reference names by digest.

    Raises: PolicyMalformed (another artifact), and as `Registry.resolve`.
    """
    try:
        manifest = bounded_json.loads(registry.manifest_bytes(reference), encoding="utf-8")
    except (ValueError, RecursionError) as error:
        raise PolicyMalformed(source=str(reference), path="", reason="its manifest is not JSON") from error
    layers = manifest.get("layers") if isinstance(manifest, dict) else None
    layer = layers[0] if isinstance(layers, list) and len(layers) == 1 else None
    digest = layer.get("digest") if isinstance(layer, dict) and layer.get("mediaType") == POLICY_TYPE else None
    if not isinstance(digest, str) or not is_digest(digest):
        reason = f"is no artifact with one layer of the type {POLICY_TYPE}"
        raise PolicyMalformed(source=str(reference), path="layers", reason=reason)
    return registry.blob(reference, digest, limit=MAX_POLICY)
