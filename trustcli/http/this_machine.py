"""Tell whether an address is this machine: no server elsewhere may send us there (docs/adr/0049)."""

from __future__ import annotations

import socket

from trustcli.http.proxies import is_loopback


def is_this_machine(address: str) -> bool:
    """Return whether a numeric address leads to this machine or to what is attached to it alone.

    Loopback, unspecified (0.0.0.0 and :: connect to loopback) and link-local (a cloud's metadata service), also as
    IPv4-mapped IPv6.
    """
    import ipaddress  # only where a server sends us elsewhere: start-up time

    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return ip.is_loopback or ip.is_unspecified or ip.is_link_local


def names_this_machine(host: str) -> bool:
    """Return whether a host, as it stands in a URL, is this machine, in any spelling that resolvers read as a number.

    They read 127.1, 2130706433 and 0x7f.1 as 127.0.0.1. What a name server says is not asked.
    """
    if is_loopback(host) or is_this_machine(host):
        return True
    try:
        return is_this_machine(socket.inet_ntoa(socket.inet_aton(host.rstrip("."))))
    except OSError:
        return False
