"""Read the files that say who may do what. Whoever may change one of them may do everything, so nobody else may."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from keys.file_access import unguarded
from trustserver.auth.rules import AccessRules, parse_rules
from trustserver.errors import StartRefused

MAX_BYTES: Final = 1024 * 1024
"""The largest file of rules, in bytes: a thousand rules take a fifth of it."""


def load_rules(path: Path) -> AccessRules:
    """Read rules from a file that nobody else may change. Raises: StartRefused, FileNewer."""
    try:
        text = read_guarded(path, most=MAX_BYTES).decode()
    except UnicodeDecodeError as error:
        raise StartRefused(what=str(path), reason="is not UTF-8") from error
    return parse_rules(text, path=str(path))


def read_guarded(path: Path, *, most: int, is_signed: bool = False) -> bytes:
    """Read a file that nobody else may change. `is_signed`: others may, since what is in it has a signature.

    Raises: StartRefused.
    """
    try:
        if not path.is_file():  # a pipe would keep the server waiting for whoever writes into it
            raise StartRefused(what=str(path), reason="is not there" if not path.exists() else "is no plain file")
        with path.open("rb") as file:
            exposed = None if is_signed else unguarded(path, os.fstat(file.fileno()))
            content = file.read(most + 1)
    except OSError as error:
        raise StartRefused(what=str(path), reason=f"cannot be read: {error.strerror}") from error
    if exposed is not None:
        raise StartRefused(what=exposed.path, reason=exposed.refusal)
    if len(content) > most:
        raise StartRefused(what=str(path), reason=f"has more than {most} bytes")
    return content


def mark_of(file: Path | None) -> object:
    """Return what changes when a file does; None if it cannot be looked at."""
    try:
        status = None if file is None else file.stat()
    except OSError:
        return None
    return None if status is None else (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
