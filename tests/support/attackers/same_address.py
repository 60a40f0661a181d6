"""Attackers at the address of the honest people: behind one NAT, or one proxy that is not named."""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections import deque
from dataclasses import replace
from multiprocessing.synchronize import Event
from typing import Final

from tests.support.attackers import Target
from tests.support.attackers.connections import connect

HELD: Final = 64
"""Twice as many uploads as one client's requests are worked on."""
_OPENED_EACH_SECOND: Final = 50
HONEST: Final = "127.0.0.1"


def begin_upload(target: Target, number: int) -> socket.socket:
    """An upload whose body has begun and does not go on. Raises: OSError."""
    head = (
        f"POST /api/v1/collections/{target.gun}{number}/publish HTTP/1.1\r\nHost: a\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n--b\r\n"
    )
    return connect(target, head.encode())


def stalled_uploads(target: Target, stop: Event) -> None:
    """Hold uploads that do not go on. For plain HTTP."""
    target = replace(target, source=HONEST)
    held: deque[socket.socket] = deque()
    for number in itertools.count():
        if stop.wait(1 / _OPENED_EACH_SECOND):
            break
        with contextlib.suppress(OSError):
            held.append(begin_upload(target, number))
        if len(held) > HELD:
            held.popleft().close()
    for each in held:
        each.close()
