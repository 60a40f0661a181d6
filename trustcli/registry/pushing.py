"""Push a small artifact to a registry: each blob whole, and then the manifest under its tag.

Source: OCI distribution specification 1.1, "Pushing a blob monolithically" (POST then PUT), "Pushing Manifests". Only
a GET is redirected, and an upload goes on at the registry that was asked: see docs/adr/0092.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode, urljoin

from trustcli.errors import RemoteMisbehaved
from trustcli.http.messages import Origin, Response, is_success, parse_url
from trustcli.registry.client import PULL, Registry
from trustcli.registry.manifest import OCI_MANIFEST
from trustcli.registry.reference import ImageReference
from trustdata.errors import ContentMismatch, InvalidName

PUSH: Final = f"{PULL},push"
"""What a token is asked for by whoever pushes."""
_LIMIT: Final = 64 * 1024
"""Bytes of an answer, which says nothing that is needed."""
_ACCEPTED: Final = 202


def push_artifact(registry: Registry, reference: ImageReference, *, manifest: bytes, blobs: Sequence[bytes]) -> None:
    """Push an OCI manifest under the tag of a reference, after the blobs that it names.

    Raises: ImageNotFound (no such repository, and pushing makes none), ContentMismatch, RemoteRefused,
    RemoteUnreachable, RemoteMisbehaved, SettingsUnusable.
    """
    for blob in blobs:
        _push_blob(registry, reference, blob)
    target = f"/v2/{reference.repository}/manifests/{reference.tag}"
    response = _asked(registry, reference, "PUT", target, manifest, kind=OCI_MANIFEST)
    digest = _digest_of(manifest)
    for told in response.every("docker-content-digest"):
        if told.startswith("sha256:") and told != digest:
            raise ContentMismatch(role=str(reference), what="digest", expected=digest, found=told)


def _push_blob(registry: Registry, reference: ImageReference, blob: bytes) -> None:
    begun = f"/v2/{reference.repository}/blobs/uploads/"
    response = _asked(registry, reference, "POST", begun, b"")
    origin = registry.origin(reference)
    if response.status != _ACCEPTED:
        reason = f"it answers {response.status} to the beginning of an upload, and not {_ACCEPTED}"
        raise RemoteMisbehaved(remote=str(origin), reason=reason)
    place = _place(response.first("location"), origin, begun)
    separator = "&" if "?" in place else "?"
    target = f"{place}{separator}{urlencode({'digest': _digest_of(blob)})}"
    _asked(registry, reference, "PUT", target, blob, kind="application/octet-stream")


def _place(location: str, origin: Origin, begun: str) -> str:
    """Return path and query of where an upload goes on. Raises: RemoteMisbehaved (nowhere, or at another server)."""
    if not location:
        raise RemoteMisbehaved(remote=str(origin), reason="it does not say where the upload goes on (Location)")
    try:
        to, target = parse_url(urljoin(f"{origin}{begun}", location), kind="upload")
    except (InvalidName, ValueError) as error:
        raise RemoteMisbehaved(remote=str(origin), reason="it sends the upload to something that is no URL") from error
    if to != origin:
        raise RemoteMisbehaved(remote=str(origin), reason=f"it sends the upload to another server, {to}")
    return target


def _asked(
    registry: Registry, reference: ImageReference, method: str, target: str, body: bytes, *, kind: str = ""
) -> Response:
    """Return the answer to a part of a push, which is a success. Raises: as `push_artifact`."""
    headers = {"Content-Type": kind} if kind else {}
    response = registry.ask(method, reference, target, limit=_LIMIT, actions=PUSH, headers=headers, body=body)
    if not is_success(response.status):
        raise registry.failure(response, reference, actions=PUSH)
    return response


def _digest_of(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"
