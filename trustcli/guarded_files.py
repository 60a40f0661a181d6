"""Read files that decide what is trusted: pins, rollback memory, policies, settings. Nobody else may change them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from keys.file_access import is_named_pipe, open_at_once, unguarded
from trustcli.errors import FileExposed


def read_guarded(path: Path, *, limit: int) -> bytes:
    """Return the content of a file that nobody else may change, of at most `limit` bytes.

    A pipe with a name is none: it would be waited for, and could be read once only.
    Raises: FileExposed; OSError if there is no such file, if it cannot be read, or is larger.
    """
    with open(path, "rb", opener=open_at_once) as file:
        status = os.fstat(file.fileno())
        if is_named_pipe(status):
            raise OSError(errno.EINVAL, "it is a named pipe, and no file")
        check_guarded(path, status)
        os.set_blocking(file.fileno(), True)  # for a pipe that the shell has handed over
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit} bytes")
    return content


def check_guarded(path: Path, status: os.stat_result | None = None) -> None:
    """Check that nobody else may change a file, or put one in its place. Raises: FileExposed, OSError."""
    exposed = unguarded(path, status)
    if exposed is not None:
        raise FileExposed(path=exposed.path, mode=exposed.mode, reason=exposed.reason, remedy=exposed.remedy)
