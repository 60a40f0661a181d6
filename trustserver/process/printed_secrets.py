"""Find out whether a secret is printed into a file that others may read, as a shell's `> FILE` makes it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_OTHERS = stat.S_IRGRP | stat.S_IROTH


def readable_output(descriptor: int) -> str:
    """Return the file behind a descriptor if others may read it, as a path; empty if none can, or if it is no file."""
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or not status.st_mode & _OTHERS:
            return ""
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except OSError:  # it is closed, or there is no /proc: then nothing is known
        return ""
