"""Hosts of registries: their normal form, the names of Docker Hub; and what clients' addresses are counted under."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network
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
_IPV4_END: Final = re.compile(r"(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$", re.ASCII)
"""The last part of what is read as an IPv4 address, in whatever form (URL standard, "ends in a number")."""


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


def has_one_spelling(host: str) -> bool:
    """Return whether a host in normal form is written as programs write it that have looked it up.

    `registry.example.com:0443`, `127.1` and `[0::1]` lead to where other names lead.
    """
    if host.startswith("["):
        address, _, port = host[1:].partition("]")
        is_plain = _is_plain_ipv6(address)
    else:
        address, _, port = host.partition(":")
        is_plain = _is_plain_ipv4(address) if _IPV4_END.search(address) else True
    return is_plain and not port.removeprefix(":").startswith("0")


def _is_plain_ipv4(text: str) -> bool:
    try:
        return str(IPv4Address(text)) == text
    except AddressValueError:
        return False


def _is_plain_ipv6(text: str) -> bool:
    try:
        address = IPv6Address(text)
    except AddressValueError:
        return False
    return address.ipv4_mapped is None and str(address) == text


def same_host(given: str) -> str:
    """Return a spelling by which credentials for one host are found, however the host was typed at the login.

    Unlike in names, port 443 is never part of it, and Docker Hub has one of its names.
    """
    host = given.lower().removesuffix(_HTTPS_PORT)
    return DOCKER_HUB if host in HUB_HOSTS else host


def address_group(address: str) -> str:
    """Return what an address is counted under: an IPv4 address itself, an IPv6 address as its /64 network.

    A customer of a network gets at least 2^64 IPv6 addresses (RFC 6177), so that single ones say nothing.
    """
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except AddressValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed) >> 64 << 64, 64)))
