"""Have the C library give memory back to the system that Python has freed.

By default glibc keeps it, in an arena for each thread that allocates: after an attack a server would stay as large as
it was under it. Other C libraries have no such settings (mallopt(3)) and are left alone.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_LARGE: Final = 1024 * 1024
"""Bytes from which on an allocation is the system's own, and goes back as soon as it is freed."""
_ARENAS: Final = 2


def _c_library() -> Any:
    try:
        return ctypes.CDLL(None)
    except OSError:
        return None


def keep_little() -> bool:
    """Set this process up so that freed memory goes back. Return whether that is possible.

    Call it before other threads begin.
    """
    set_option = getattr(_c_library(), "mallopt", None)
    if set_option is None:
        return False
    wanted = {_M_ARENA_MAX: _ARENAS, _M_MMAP_THRESHOLD: _LARGE, _M_TRIM_THRESHOLD: _LARGE}
    return all(set_option(option, value) == 1 for option, value in wanted.items())


def give_back() -> None:
    """Give freed memory back, as far as whole pages are free. Call it in a worker thread: it takes milliseconds."""
    trim = getattr(_c_library(), "malloc_trim", None)
    if trim is not None:
        trim(0)
