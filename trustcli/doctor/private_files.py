"""Check who may change a file: pins and rollback memory that others can write protect nobody."""

from __future__ import annotations

import stat
from pathlib import Path

_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def open_to_others(path: Path) -> bool:
    """Return whether group or others may write or replace the file; False if there is no file."""
    try:
        if path.stat().st_mode & _OTHERS:
            return True
        folder = path.parent.stat().st_mode
    except OSError:
        return False
    return bool(folder & _OTHERS) and not folder & stat.S_ISVTX
