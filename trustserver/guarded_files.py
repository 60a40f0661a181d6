"""Read files that decide what the server does or whom it believes. Nobody but its user may change them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from keys.file_access import is_named_pipe, open_at_once, unguarded
from trustdata import bounded_toml
from trustserver.errors import StartRefused


def read_guarded(path: Path, *, limit: int) -> str:
    """Return the text of a file that nobody else may change, of at most `limit` bytes of UTF-8.

    Raises: StartRefused, which names the file.
    """
    try:
        return read_guarded_bytes(path, limit=limit).decode()
    except UnicodeDecodeError as error:
        raise StartRefused(what=str(path), reason="is not UTF-8") from error


def read_guarded_bytes(path: Path, *, limit: int) -> bytes:
    """Return the content of a file that nobody else may change, of at most `limit` bytes.

    Raises: StartRefused, which names the file.
    """
    try:
        with open(path, "rb", opener=open_at_once) as file:
            status = os.fstat(file.fileno())
            exposed, is_pipe = unguarded(path, status), is_named_pipe(status)
            os.set_blocking(file.fileno(), True)  # for a pipe that the shell has handed over
            content = b"" if is_pipe else file.read(limit + 1)
    except OSError as error:
        raise StartRefused(what=str(path), reason=f"cannot be read: {error.strerror}") from error
    if is_pipe:
        raise StartRefused(what=str(path), reason="is a named pipe, and no file")
    if exposed is not None:
        raise StartRefused(what=exposed.path, reason=exposed.refusal)
    if len(content) > limit:
        raise StartRefused(what=str(path), reason=f"has more than {limit} bytes")
    return content


def mark_of(path: Path | None) -> object:
    """Return what changes when a file does; None if there is none, or it cannot be looked at."""
    try:
        status = None if path is None else path.stat()
    except OSError:
        return None
    return None if status is None else (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)


def read_guarded_toml(path: Path, *, limit: int) -> dict[str, Any]:
    """Return the document in a TOML file that nobody else may change. Raises: StartRefused, which names the file."""
    text = read_guarded(path, limit=limit)
    try:
        return bounded_toml.loads(text)
    except (ValueError, RecursionError) as error:
        raise StartRefused(what=str(path), reason=f"is not TOML: {error}") from error
