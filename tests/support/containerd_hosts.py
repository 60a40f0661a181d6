"""How containerd chooses hosts by a hosts.toml, and asks one after the other: restated, for lack of a Debian package.

Source: containerd's docs/hosts.md and remotes/docker/resolver.go (2.x): the `[host]` tables in order, then `server`;
whatever a host answers but a success, the next one is asked; every request has `?ns=`.
"""

from __future__ import annotations

import contextlib
import http.client
import tomllib
from dataclasses import dataclass
from urllib.parse import urlsplit

_ACCEPT = (
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*"
)


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The manifest that containerd would pull. `host`: who gave it; empty if nobody did, with `reason`."""

    host: str = ""
    digest: str = ""
    reason: str = ""


def resolve(hosts_toml: str, *, registry: str, repository: str, reference: str) -> Resolved:
    """Pull a manifest as containerd does. `registry`: as it stands in the image's name."""
    config = tomllib.loads(hosts_toml)
    hosts = [*config.get("host", {}), config.get("server", f"https://{registry}")]
    refusal = ""
    for host in hosts:
        target = f"/v2/{repository}/manifests/{reference}?ns={registry}"
        with contextlib.closing(http.client.HTTPConnection(urlsplit(host).netloc, timeout=60)) as client:
            for method in ("HEAD", "GET"):  # it asks again with GET for the words of a refusal
                client.request(method, target, headers={"Accept": _ACCEPT})
                answer = client.getresponse()
                body = answer.read().decode()
                if answer.status == 200:
                    return Resolved(host=host, digest=str(answer.headers["Docker-Content-Digest"]))
            refusal = refusal or f"{answer.status}: {body}"
    return Resolved(reason=refusal)
