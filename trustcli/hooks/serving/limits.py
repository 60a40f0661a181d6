"""Bound what clients of a resident hook may cost: connections, bytes and time."""

from __future__ import annotations

from keys.record import record


@record
class Limits:
    """The bounds of a server. Times are seconds, sizes bytes.

    `connections`: at one time, in all; `per_address`: of one address, of IPv6 one /64 network (others may share it).
    `head`: of request line and header fields; `fields`: how many of these. `handshake`: of TLS.
    `head_seconds`: of one head, from its first byte. `idle`: between two requests. `body_seconds`: of a whole body; how
    many bytes it may have, its reader says (`Body.read`). `patience`: where there are too many connections, one whose
    client has been waited for so long is ended for a new one, the longest first. `stall`: in which the client sends or
    takes nothing. `slowest`: bytes a second that it takes on average, after the first `stall` seconds; `slowest_body`:
    that it sends of a whole body, after the first `body_grace` seconds. `held`: bytes of large answers in memory, of
    all clients; where they are too many, whoever has one for longer than `patience` loses it. `stopping`: from `stop`
    to the end.
    """

    connections: int = 512
    per_address: int = 128
    head: int = 32 * 1024
    fields: int = 100
    handshake: float = 10.0
    head_seconds: float = 10.0
    idle: float = 75.0
    body_seconds: float = 30.0
    body_grace: float = 10.0
    slowest_body: int = 16 * 1024
    patience: float = 1.0
    stall: float = 30.0
    slowest: int = 4 * 1024
    held: int = 64 * 1024 * 1024
    stopping: float = 20.0
