"""Write the JSON Patch (RFC 6902) that puts a signed digest behind a tag."""

from __future__ import annotations

from typing import Final, TypeAlias

from trustcli.hooks.kubernetes.pod_images import ImagePlace, Path
from trustcli.registry.reference import ImageReference

DEFAULT_TAG: Final = "latest"
"""The tag that a name without tag and digest means: to Kubernetes, to container runtimes and to us."""
PatchOperation: TypeAlias = dict[str, str]


def pointer(path: Path) -> str:
    """Return the JSON Pointer (RFC 6901) of a place."""
    return "".join(f"/{str(name).replace('~', '~0').replace('/', '~1')}" for name in path)


def pinned(reference: ImageReference, digest: str) -> str:
    """Return the image as it was written, with its tag and the digest: `app:1.0` becomes `app:1.0@sha256:HEX`.

    The name stays as it is spelled: the user's pull secrets are stored under that spelling.
    """
    if reference.digest is not None:
        return reference.given
    tag = "" if reference.tag else f":{DEFAULT_TAG}"
    return f"{reference.given}{tag}@{digest}"


def replacement(place: ImagePlace, image: str) -> list[PatchOperation]:
    """Return the operations that replace an image. The patch fails as a whole if another one stands there by then."""
    path = pointer(place.path)
    return [
        {"op": "test", "path": path, "value": place.image},
        {"op": "replace", "path": path, "value": image},
    ]
