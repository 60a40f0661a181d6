"""What goes over the socket of `trust agent`: frames of JSON, four bytes of length before each, both ways.

A question, and its answer:

    {"version": 1, "id": "8d0c...", "context": "5f1b...", "image": "registry.example.com/app:1.0", "digest": null}
    {"version": 1, "id": "8d0c...", "context": "5f1b...", "image": "registry.example.com/app:1.0", "digest": null,
     "allowed": true, "runs": "sha256:...", "collection": "registry.example.com/app", "reason": "...",
     "mode": "enforce", "rule": "policy.toml, rule ...", "warnings": [], "age": 12.5, "stale": false, "code": null,
     "evidence": {...}, "memory": {...}}

`id` is the asker's, and comes back with `context`, `image` and `digest`: an answer to anything else is none. `context`:
the hash of what decides (`deciding.context`); an agent that decides in another way answers without a verdict
(`"allowed": null`). `digest`: what the registry serves, if it is known; `runs`: what may run; `collection`: whose trust
data was judged, which an alias says. `age`: seconds since the trust server confirmed what was judged by; null if
nothing was read. `memory`: with a yes and with a no, by name, the rollback memory of the collections that were judged
(`rollback_memory.to_document`). Nothing here imports what verifies.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Final

VERSION: Final = 1
MAX_QUESTION: Final = 8 * 1024
"""Bytes of a question; a name has at most some hundred."""
MAX_ANSWER: Final = 256 * 1024
"""Bytes of an answer; the evidence of a collection with many roles has some thousand."""
_LENGTH: Final = struct.Struct("!I")
_CREDENTIALS: Final = struct.Struct("iII")


class NoFrame(Exception):
    """What came is no frame of this protocol, or the other end is gone."""


def peer_uid(connection: socket.socket) -> int:
    """Return the user at the other end, as the kernel knows it (SO_PEERCRED). Raises: OSError."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(raw)[1])


def send(connection: socket.socket, document: dict[str, object], *, until: float) -> None:
    """Send a frame. `until`: `time.monotonic` at which to give up. Raises: OSError (TimeoutError among them)."""
    raw = json.dumps(document, separators=(",", ":")).encode()
    connection.settimeout(_left(until))
    connection.sendall(_LENGTH.pack(len(raw)) + raw)


def receive(connection: socket.socket, *, limit: int, until: float) -> dict[str, object] | None:
    """Return the next frame; None if the other end has closed before it. Raises: NoFrame, OSError."""
    head = _exactly(connection, _LENGTH.size, until)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if not 0 < length <= limit:
        raise NoFrame
    raw = _exactly(connection, length, until)
    if raw is None:
        raise NoFrame
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise NoFrame from error
    if not isinstance(document, dict):
        raise NoFrame
    return document


def _exactly(connection: socket.socket, count: int, until: float) -> bytes | None:
    """Return so many bytes; None if there is none at all. Raises: NoFrame (too few), OSError."""
    found = b""
    while len(found) < count:
        connection.settimeout(_left(until))
        part = connection.recv(min(count - len(found), 65536))
        if not part:
            if found:
                raise NoFrame
            return None
        found += part
    return found


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
