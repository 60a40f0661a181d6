"""Have freed memory given back to the system."""

from __future__ import annotations

import ctypes
from typing import Final

LARGE_BLOCK: Final = 2 * 1024 * 1024
"""Bytes from which on a block of memory has pages of its own."""
_M_MMAP_THRESHOLD: Final = -3  # mallopt(3)


def give_large_blocks_back() -> bool:
    """Have blocks of LARGE_BLOCK bytes and more given back to the system when they are freed. Return whether it works.

    Otherwise glibc raises that limit up to 32 MiB when such blocks come and go, as the bodies of uploads do, and keeps
    them between the blocks that are in use. Other C libraries have no such function, or decide better.
    """
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK))
    except (OSError, AttributeError):
        return False
