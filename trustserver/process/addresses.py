"""Read the addresses of clients, and what a trusted proxy says about them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final

from trustserver.errors import BadRequest
from trustserver.settings import Network

_FORWARDING: Final = frozenset({b"x-forwarded-for", b"forwarded"})
_LONGEST_CHAIN: Final = 16
"""How many addresses of a forwarded chain are looked at, from its end."""


def unmapped(address: str) -> str:
    """Return an IPv4 address as itself, also where a socket for both kinds has it as an IPv6 address (::ffff:a.b.c.d).

    Raises nothing: what is no address is returned as it is.
    """
    if not address.startswith("::ffff:"):
        return address
    try:
        return str(_parsed(address))
    except ValueError:
        return address


def is_in(address: str, networks: Sequence[Network]) -> bool:
    """Return whether an address is in one of these networks."""
    if not networks:
        return False
    try:
        parsed = _parsed(address)
    except ValueError:
        return False
    return any(parsed.version == network.version and parsed in network for network in networks)


def check_forwarding(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Check that a proxy's request says once, in one header and one spelling, from whom the proxy has it.

    A proxy that passes on what its client wrote, and adds a line of its own, leaves two; one that takes `_` for `-`
    passes on what another does not. With both headers the client has written one of them, and would have chosen to be
    without an address. Raises: BadRequest.
    """
    found = b""
    for name, _ in headers:
        plain = name.replace(b"_", b"-")
        if plain not in _FORWARDING:
            continue
        if plain != name or plain == found:
            reason = "must come once, and with - in its name: the proxy before this server must replace its client's"
            raise BadRequest(place=plain.decode(), reason=reason)
        if found:
            reason = f"must not come beside {found.decode()}: the proxy before this server must remove its client's"
            raise BadRequest(place=plain.decode(), reason=reason)
        found = plain


def forwarded_address(headers: Iterable[tuple[bytes, bytes]], trusted: Sequence[Network]) -> str | None:
    """Return the address that a trusted proxy has its request from; None if it does not say so clearly.

    It is the last address of X-Forwarded-For, or of Forwarded (RFC 7239), that is no trusted proxy: what stands before
    it was written by somebody who is not trusted. A request with both headers is not clear (check_forwarding refuses
    it): the proxy writes one of them, and its client may have written the other.
    """
    plain: list[bytes] = []
    standard: list[bytes] = []
    for name, value in headers:
        if name == b"x-forwarded-for":
            plain.append(value)
        elif name == b"forwarded":
            standard.append(value)
    if bool(plain) == bool(standard):
        return None
    chain = b",".join(plain or standard).rsplit(b",", _LONGEST_CHAIN)[-_LONGEST_CHAIN:]
    for element in reversed(chain):
        text = element.decode("latin-1")
        address = _address(text if plain else _for_parameter(text))
        if address is None:
            return None
        if not is_in(address, trusted):
            return address
    return None


def _for_parameter(element: str) -> str:
    """Return the value of `for` in one element of Forwarded; empty if there is none."""
    values = [
        value.strip().strip('"')
        for name, _, value in (pair.partition("=") for pair in element.split(";", 8))
        if name.strip().lower() == "for"
    ]
    return values[0] if len(values) == 1 else ""


def _address(text: str) -> str | None:
    """Return the address in `text`, which may have a port; None if there is none."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        return str(_parsed(host))
    except ValueError:
        return None


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if parsed.version == 6 else None
    return mapped if mapped is not None else parsed
