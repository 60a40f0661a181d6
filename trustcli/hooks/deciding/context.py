"""Name by one hash everything on this machine by which images are decided about: policy, pins, servers, allow list.

Two processes with the same hash decide alike, as far as it depends on them: so one may take the other's answer. Nothing
here imports what verifies, since an answer of another process needs none of it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from keys.light_sha256 import sha256_hex
from trustcli.guarded_files import read_guarded

if TYPE_CHECKING:
    from trustcli.config.settings import Settings

_VERSION: Final = 1
"""The version of what is hashed: programs that decide in another way must not agree."""
_MAX_FILE: Final = 64 * 1024 * 1024


def context_hash(settings: Settings, *, policy: Path | None, with_allow_list: bool) -> str:
    """Return the hash (hex) of what decides. `policy`: the policy file, if there is one.

    Which certificate authorities and credentials are used is not part of it: they say whom to ask, not whom to believe.
    Trust on first use and a lock file are, since no resident verifier has them. Where no policy decides, aliases of the
    machine's policy count all the same.

    Raises: FileExposed, OSError.
    """
    verifier = settings.verifier
    document = {
        "version": _VERSION,
        "server": [settings.server, settings.server_source == "--server"],
        "servers": sorted(settings.servers.items()),
        "pin": settings.pin,
        "pins": _digest(settings.home / "pins.toml"),
        "tofu": settings.tofu,
        "lock": None if settings.lock is None else str(settings.lock),
        "max_life": sorted((pattern, str(life)) for pattern, life in settings.max_life.items()),
        "allow": sorted(map(str, verifier.allow)) if with_allow_list else [],
        "aliases": _digest(verifier.policy) if policy is None and verifier.policy is not None else None,
        "policy": None if policy is None else [str(policy.absolute()), _digest(policy)],
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return sha256_hex(text.encode())


def _digest(file: Path) -> str | None:
    try:
        return sha256_hex(read_guarded(file, limit=_MAX_FILE))
    except FileNotFoundError:
        return None
