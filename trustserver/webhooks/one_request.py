"""Send one request to a webhook, within bounds of time and size, and only to an address that is allowed.

The name is resolved once, and the address that was looked at is the one that is connected to: another answer of the
name server in between changes nothing. Nothing is followed, and of what is answered only the status is read. Proxies of
the environment are not used.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

from trustserver.webhooks.hooks import Hook

SECONDS: Final = 10.0
"""For connecting, sending and the answer together."""
_STATUS_LINE: Final = 1024
"""Bytes of an answer in which its status must be."""
_ANSWER: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r\n]")
_OK: Final = range(200, 300)
_METADATA: Final = frozenset(
    map(ipaddress.ip_address, ("100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"))
)
"""Where clouds tell machines their secrets, besides the addresses of the link."""
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64: Final = ipaddress.IPv6Network("64:ff9b:1::/48")
"""What addresses of it lead to, the network alone knows (RFC 8215)."""

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve: TypeAlias = Callable[[str, int], Sequence[str]]
"""A function from host and port to addresses. Raises: OSError."""
Connect: TypeAlias = Callable[[str, int, float], socket.socket]
"""A function that connects to an address and a port within some seconds. Raises: OSError."""


class NotDelivered(Exception):
    """A hook was not told. The message says why."""


def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def connect(address: str, port: int, seconds: float) -> socket.socket:
    """Connect to an address."""
    return socket.create_connection((address, port), timeout=seconds)


class Sender:
    """Sends requests to webhooks."""

    def __init__(
        self,
        *,
        resolve: Resolve = resolve,
        connect: Connect = connect,
        clock: Callable[[], float] = time.monotonic,
        seconds: float = SECONDS,
    ) -> None:
        self._resolve = resolve
        self._connect = connect
        self._clock = clock
        self._seconds = seconds

    def send(self, hook: Hook, request: bytes) -> None:
        """Send a request, and return if it was accepted. Raises: NotDelivered."""
        deadline = self._clock() + self._seconds
        try:
            with self._opened(hook, deadline) as connection:
                connection.settimeout(self._left(deadline))
                connection.sendall(request)
                status = self._status(connection, deadline)
        except (OSError, UnicodeError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise NotDelivered(f"{hook.host}: {why}") from error
        if status not in _OK:
            raise NotDelivered(f"{hook.host} answered {status}")

    @contextlib.contextmanager
    def _opened(self, hook: Hook, deadline: float) -> Iterator[socket.socket]:
        """Connect to the first address of a hook that takes it. Raises: NotDelivered, OSError."""
        found = self._resolve(hook.host, hook.port)
        allowed = [address for address in found if may_be_told(ipaddress.ip_address(address.partition("%")[0]), hook)]
        if not allowed:
            what = "an address that is told nothing" if found else "no address"
            raise NotDelivered(f"{hook.host} is at {what}: {', '.join(found)}" if found else f"{hook.host} has {what}")
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(self._first(allowed, hook.port, deadline))
            if hook.tls:
                context = ssl.create_default_context(cafile=hook.cacert)
                connection.settimeout(self._left(deadline))
                connection = stack.enter_context(context.wrap_socket(connection, server_hostname=hook.host))
            yield connection

    def _first(self, addresses: Sequence[str], port: int, deadline: float) -> socket.socket:
        """Connect to the first of some addresses that answers. Raises: OSError of the last one."""
        for address in addresses[:-1]:
            with contextlib.suppress(OSError):
                return self._connect(address, port, self._left(deadline) / len(addresses))
        return self._connect(addresses[-1], port, self._left(deadline))

    def _status(self, connection: socket.socket, deadline: float) -> int:
        """Read the status of the answer. Raises: NotDelivered, OSError."""
        head = b""
        while b"\n" not in head and len(head) < _STATUS_LINE:
            connection.settimeout(self._left(deadline))
            piece = connection.recv(_STATUS_LINE - len(head))
            if not piece:
                break
            head += piece
        answer = _ANSWER.match(head)
        if answer is None:
            raise NotDelivered("what was answered is not HTTP")
        return int(answer[1])

    def _left(self, deadline: float) -> float:
        """Return the seconds that are left. Raises: TimeoutError if there are none."""
        left = deadline - self._clock()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


def may_be_told(address: Address, hook: Hook) -> bool:
    """Return whether a hook may be at this address. Plain HTTP goes to this machine alone."""
    address = _unwrapped(address)
    if not hook.tls and not address.is_loopback:
        return False
    local = address.is_loopback or address.is_link_local or address.is_unspecified or address in _METADATA
    local = local or address in _LOCAL_NAT64
    return hook.allow_local or not (local or address.is_multicast or address.is_reserved)


def _unwrapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address leads to; else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
