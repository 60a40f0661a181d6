"""Have freed memory given back to the system."""

from __future__ import annotations

import ctypes
from typing import Any, Final

LARGE_BLOCK: Final = 1024 * 1024
"""Bytes from which on a block of memory has pages of its own."""
_ARENAS: Final = 2
_M_TRIM_THRESHOLD: Final = -1  # mallopt(3)
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8


def give_large_blocks_back() -> bool:
    """Have blocks of LARGE_BLOCK bytes and more given back when they are freed. Return whether it works.

    Otherwise glibc raises that limit up to 32 MiB when such blocks come and go, as the bodies of uploads and files do,
    and keeps them between the blocks that are in use, in an arena for each thread. Other C libraries have no such
    function, or decide better. Call it before other threads begin.
    """
    set_option = getattr(_c_library(), "mallopt", None)
    if set_option is None:
        return False
    wanted = {_M_ARENA_MAX: _ARENAS, _M_MMAP_THRESHOLD: LARGE_BLOCK, _M_TRIM_THRESHOLD: LARGE_BLOCK}
    return all(set_option(option, value) == 1 for option, value in wanted.items())


def give_free_pages_back() -> None:
    """Give back what is free now, as far as it is whole pages. Call it in a worker thread: it takes milliseconds."""
    trim = getattr(_c_library(), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _c_library() -> Any:
    try:
        return ctypes.CDLL(None)
    except OSError:
        return None
