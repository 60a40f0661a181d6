"""Write what clients need so that they pull through the proxy and through nothing else.

Only forms that fail closed: after a refusal nothing is asked of the registry itself. Docker's `registry-mirrors`, a
`[[registry.mirror]]` and a hosts.toml with another server do ask it, and pull what was refused (docs/adr/0088).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from keys.record import record
from trustcli.http.messages import Origin


@record
class ClientConfig:
    """The configuration of one client. `file`: where it belongs. `text`: its content. `hints`: what else to know."""

    file: str
    text: str
    hints: tuple[str, ...]


def _docker(proxy: Origin, registry: str) -> ClientConfig:
    insecure = [] if proxy.scheme == "https" else [proxy.netloc]
    text = json.dumps({"insecure-registries": insecure} if insecure else {}, indent=2) + "\n"
    name = proxy.netloc
    return ClientConfig(
        file="/etc/docker/daemon.json",
        text=text,
        hints=(
            f"pull by the proxy's name: docker pull {name}/NAME:TAG is {registry}/NAME:TAG, verified",
            "let docker reach no other registry: it asks whatever registry a name begins with",
            "registry-mirrors is no way here: after a refusal docker asks Docker Hub itself",
        ),
    )


def _containerd(proxy: Origin, registry: str) -> ClientConfig:
    return ClientConfig(
        file=f"/etc/containerd/certs.d/{registry}/hosts.toml",
        text=f"server = {json.dumps(str(proxy))}\n",
        hints=(
            'the configuration of containerd must have config_path = "/etc/containerd/certs.d"',
            "add no [host] to this file: containerd would ask that one for what the proxy refuses",
        ),
    )


def _containers(proxy: Origin, registry: str) -> ClientConfig:
    lines = ["[[registry]]", f"prefix = {json.dumps(registry)}", f"location = {json.dumps(proxy.netloc)}"]
    if proxy.scheme == "http":
        lines.append("insecure = true")
    return ClientConfig(
        file="/etc/containers/registries.conf.d/trust-proxy.conf",
        text="\n".join(lines) + "\n",
        hints=(f"no other file there may have a [[registry.mirror]] for {registry}: it is asked after a refusal",),
    )


_FORMS: Final[Mapping[str, Callable[[Origin, str], ClientConfig]]] = {
    "docker": _docker,
    "containerd": _containerd,
    "podman": _containers,
    "crio": _containers,
}
CLIENTS: Final = tuple(_FORMS)


def client_config(client: str, *, proxy: Origin, registry: str) -> ClientConfig:
    """Return the configuration of one of CLIENTS. `proxy`: where it answers. `registry`: as it stands in names."""
    return _FORMS[client](proxy, registry)
