"""Read the files that say who may do what. Whoever may change one of them may do everything, so nobody else may."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from trustserver.auth.rules import AccessRules, parse_rules
from trustserver.errors import StartRefused
from trustserver.guarded_files import read_guarded

MAX_BYTES: Final = 1024 * 1024
"""The largest file of rules, in bytes: a thousand rules take a fifth of it."""


def load_rules(path: Path) -> AccessRules:
    """Read rules from a file that nobody else may change. Raises: StartRefused, FileNewer."""
    if not path.is_file():  # a pipe would keep the server waiting for whoever writes into it
        raise StartRefused(what=str(path), reason="is no plain file" if path.exists() else "is not there")
    return parse_rules(read_guarded(path, limit=MAX_BYTES), path=str(path))
