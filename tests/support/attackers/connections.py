"""Attackers that open connections: half of a handshake, half of a request, nothing at all, or whole handshakes."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Iterator
from multiprocessing.synchronize import Event
from typing import Final

from tests.support.attackers import Target

RATE: Final = 200
"""New connections each second."""
_HELD: Final = 2_000
"""How many connections an attacker holds at one time; then the oldest are closed."""


def client_hello() -> bytes:
    """The first message of a TLS handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    trusting = ssl.create_default_context()
    session = trusting.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


def half_of_it(target: Target) -> bytes:
    """What a client begins with, and does not go on with."""
    return client_hello() if target.ca else b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX-Half: "


def connect(target: Target, first: bytes, *, source: str = "") -> socket.socket:
    """A connection whose client has sent the first bytes. Raises: OSError."""
    client = socket.socket()
    try:
        client.settimeout(5)
        client.bind((source or target.source, 0))
        client.connect((target.host, target.port))
        client.sendall(first)
    except OSError:
        client.close()
        raise
    return client


def addresses(count: int) -> Iterator[str]:
    """So many addresses of this machine, without that of an honest client."""
    return (f"127.0.{number // 250 + 1}.{number % 250 + 1}" for number in range(count))


def half_open(target: Target, stop: Event) -> None:
    """Begin handshakes, or requests, and hold them."""
    _hold(target, stop, half_of_it(target), sources=[target.source])


def half_open_from_everywhere(target: Target, stop: Event) -> None:
    """The same, from two hundred addresses in turn."""
    _hold(target, stop, half_of_it(target), sources=list(addresses(200)))


def silent(target: Target, stop: Event) -> None:
    """Connect and say nothing."""
    _hold(target, stop, b"", sources=[target.source])


def long_heads(target: Target, stop: Event) -> None:
    """Send a head of 60 000 bytes without its end, in each connection."""
    head = b"GET /v2/ HTTP/1.1\r\nHost: a\r\n" + b"X-Long: " + b"x" * 60_000
    _hold(target, stop, head, sources=list(addresses(200)))


def _hold(target: Target, stop: Event, first: bytes, *, sources: list[str]) -> None:
    held: deque[socket.socket] = deque()
    number = 0
    while not stop.wait(1 / RATE):
        number += 1
        with contextlib.suppress(OSError):
            held.append(connect(target, first, source=sources[number % len(sources)]))
        if len(held) > _HELD:
            held.popleft().close()
    for each in held:
        each.close()


def handshakes(target: Target, stop: Event) -> None:
    """Begin handshakes and close the connections at once, from two hundred addresses."""
    first = half_of_it(target)
    sources = list(addresses(200))
    number = 0
    while not stop.wait(1 / RATE):
        number += 1
        with contextlib.suppress(OSError):
            connect(target, first, source=sources[number % len(sources)]).close()
