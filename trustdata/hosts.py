"""Hosts of registries: their normal form, and the names of Docker Hub."""

from __future__ import annotations

from typing import Final

DOCKER_HUB: Final = "docker.io"
"""The host of Docker Hub in the names of collections. It is a web site, and neither registry nor trust server."""
HUB_REGISTRY: Final = "registry-1.docker.io"
"""The host of Docker Hub's registry API."""
_OLD_HUB: Final = "index.docker.io"
HUB_HOSTS: Final = (DOCKER_HUB, _OLD_HUB, HUB_REGISTRY)
"""All hosts that are Docker Hub, for those who look for its credentials. In a name the last one is another registry."""
_LOCALHOST: Final = "localhost"
_HTTPS_PORT: Final = ":443"


def is_host(first: str) -> bool:
    """Return whether the first part of a name is a host, by Docker's rule without its last part.

    That part takes an upper-case word for a host; after lower-casing it would mean a namespace.
    """
    return "." in first or ":" in first or first.lower() == _LOCALHOST


def normal_host(given: str) -> str:
    """Return the one spelling of a host that the names of collections have: lower-case, and without the port 443."""
    host = given.lower()
    bare = host.removesuffix(_HTTPS_PORT)
    # `registry:443` keeps its port: without it the name would be read as a namespace of docker.io.
    if is_host(bare):
        host = bare
    return DOCKER_HUB if host == _OLD_HUB else host


def same_host(given: str) -> str:
    """Return a spelling by which credentials for one host are found, however the host was typed at the login.

    Unlike in names, port 443 is never part of it, and Docker Hub has one of its names.
    """
    host = given.lower().removesuffix(_HTTPS_PORT)
    return DOCKER_HUB if host in HUB_HOSTS else host
