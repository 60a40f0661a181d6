"""One process after the other: SoftHSM rewrites the files of a token at each login, and readers meanwhile see none.

The lock is on the library's own file, which all processes can open that use it. It belongs to nobody, so nobody is
waited for longer than a moment.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

_LONGEST: Final = 3.0
"""Seconds. A login takes milliseconds; who holds the lock for longer has forgotten it, or means no good."""
_PAUSE: Final = 0.02


@contextmanager
def turn(path: str) -> Iterator[None]:
    """Wait for the lock on a file, hold it, and go on without it if it cannot be had."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        for _ in range(int(_LONGEST / _PAUSE)):
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(_PAUSE)
        yield
    finally:
        os.close(descriptor)
