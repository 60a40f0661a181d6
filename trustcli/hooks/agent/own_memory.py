"""Check whether this user has verified something newer than the trust data behind an agent's yes.

An agent refuses what is older than it has seen itself; one whose state folder is new has seen nothing. So every
collection counts that the decision rests on: that of the image, the second one, and that of the policy. Nothing here
imports what verifies, so the entries are not decoded: a version that is higher is enough to verify without an agent,
which decides whether the entry still counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trustcli.errors import FileExposed
from trustcli.guarded_files import read_guarded

if TYPE_CHECKING:
    from trustcli.hooks.agent.client import Yes

_FILE: Final = "seen.json"
_MAX_FILE: Final = 64 * 1024 * 1024
_DAMAGED: Final = (ValueError, RecursionError, LookupError, TypeError, AttributeError)


def has_seen_newer(folder: Path, yes: Yes) -> bool:
    """Return whether rollback memory has a higher version of a role than a yes rests on, or cannot be compared.

    `folder`: of the memory. Without a memory, nothing newer was seen.
    """
    if yes.evidence and not yes.memory:
        return True  # an agent that has verified something remembers it
    seen = own_entries(folder)
    if seen is None:
        return True
    try:
        entry = seen.get(yes.collection)
        if yes.evidence and entry is not None and _is_behind(yes.evidence.get("versions"), entry["roles"]):
            return True
        return any(_is_another(told, seen[name]) for name, told in yes.memory.items() if name in seen)
    except _DAMAGED:
        return True


def own_entries(folder: Path) -> Mapping[str, Any] | None:
    """Return the entries of rollback memory, not decoded, by name of collection; None if they cannot be read."""
    try:
        raw = read_guarded(folder / _FILE, limit=_MAX_FILE)
    except FileNotFoundError:
        return {}
    except (OSError, FileExposed):
        return None
    try:
        collections = json.loads(raw)["collections"]
    except _DAMAGED:
        return None
    return collections if isinstance(collections, dict) else None


def lacks(entry: Any, told: Any) -> bool:
    """Return whether an entry knows less than what an agent tells, or cannot be compared. Nothing is decoded."""
    try:
        seen = entry["roles"]
        return any(role not in seen or seen[role]["version"] < each["version"] for role, each in told["roles"].items())
    except _DAMAGED:
        return True


def _is_another(told: Any, entry: Any) -> bool:
    """Return whether an agent remembers another first root than this user, or an older state."""
    versions = {role: each["version"] for role, each in told["roles"].items()}
    return bool(told["root_of_trust"] != entry["root_of_trust"]) or _is_behind(versions, entry["roles"])


def _is_behind(versions: object, seen: object) -> bool:
    if not isinstance(versions, dict) or not versions or not isinstance(seen, dict):
        return True
    return any(seen[role]["version"] > version for role, version in versions.items() if role in seen)
