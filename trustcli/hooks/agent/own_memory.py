"""See whether this user has verified something newer than what an agent's yes rests on.

An agent refuses what is older than it has seen itself; one whose state folder is new has seen nothing. Nothing here
imports what verifies, so the entries are not decoded: a version that is higher is enough to verify without an agent,
which decides whether the entry still counts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from trustcli.errors import FileExposed
from trustcli.guarded_files import read_guarded

_FILE: Final = "seen.json"
_MAX_FILE: Final = 64 * 1024 * 1024


def has_seen_newer(folder: Path, collection: str, versions: object) -> bool:
    """Return whether rollback memory has a higher version of a role, or cannot be read; False if there is none.

    `folder`: of the memory. `collection`: the name of the collection. `versions`: by role, of the agent's answer.
    """
    try:
        raw = read_guarded(folder / _FILE, limit=_MAX_FILE)
    except FileNotFoundError:
        return False
    except (OSError, FileExposed):
        return True
    try:
        entry = json.loads(raw)["collections"].get(collection)
        return entry is not None and _is_behind(versions, entry["roles"])
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return True


def _is_behind(versions: object, seen: object) -> bool:
    if not isinstance(versions, dict) or not versions or not isinstance(seen, dict):
        return True
    return any(seen[role]["version"] > version for role, version in versions.items() if role in seen)
