"""Tell whether an address is this machine: no server elsewhere may send us there (docs/adr/0049)."""

from __future__ import annotations

import socket

from trustcli.http.proxies import is_loopback

_METADATA_SERVICES = frozenset({"fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16"})
"""Those of clouds that are not link-local: AWS, Google, Alibaba, Azure."""
_NAT64 = "64:ff9b::/96"
_LOCAL_NAMES = frozenset(
    {"localhost.localdomain", "localhost4", "localhost6", "localhost6.localdomain6", "ip6-localhost", "ip6-loopback"}
)
"""The names that Linux distributions write into /etc/hosts, beside `localhost`."""


def is_this_machine(address: str) -> bool:
    """Return whether a numeric address leads to this machine or to what is attached to it alone.

    Loopback, unspecified (0.0.0.0 and :: connect to loopback), link-local, and the metadata services of clouds; also
    as IPv4-mapped IPv6 and behind NAT64.
    """
    import ipaddress  # only where a server sends us elsewhere: start-up time

    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip in ipaddress.IPv6Network(_NAT64):
            ip = ipaddress.IPv4Address(ip.packed[-4:])
    return ip.is_loopback or ip.is_unspecified or ip.is_link_local or str(ip) in _METADATA_SERVICES


def names_this_machine(host: str) -> bool:
    """Return whether a host, as it stands in a URL, is this machine, in any spelling that resolvers read as a number.

    They read 127.1, 2130706433 and 0x7f.1 as 127.0.0.1. What a name server says is not asked.
    """
    if is_loopback(host) or is_this_machine(host) or host.lower().rstrip(".") in _LOCAL_NAMES:
        return True
    try:
        return is_this_machine(socket.inet_ntoa(socket.inet_aton(host.rstrip("."))))
    except OSError:
        return False
