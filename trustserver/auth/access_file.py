"""Read the file of access rules. Whoever may change it may do everything, so nobody but its user may."""

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
        if not path.is_file():  # a pipe would keep the server waiting for whoever writes into it
            raise StartRefused(what=str(path), reason="is not there" if not path.exists() else "is no plain file")
        with path.open("rb") as file:
            exposed = unguarded(path, os.fstat(file.fileno()))
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise StartRefused(what=str(path), reason=f"cannot be read: {error.strerror}") from error
    if exposed is not None:
        raise StartRefused(what=exposed.path, reason=exposed.refusal)
    if len(content) > MAX_BYTES:
        raise StartRefused(what=str(path), reason=f"has more than {MAX_BYTES} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise StartRefused(what=str(path), reason="is not UTF-8") from error
    return parse_rules(text, path=str(path))
