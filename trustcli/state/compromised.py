"""`compromised.json`: the keys that were removed as compromised, so that no command puts one of them in place again.

{"version": 1, "keys": [{"fingerprint": "<hex>", "recorded": "2026-01-02T03:04:05Z", "name": "targets key ab12..."}]}

The list grows only: a key that was stolen once is never safe again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from keys.document_version import DocumentKind
from keys.rfc3339 import from_rfc3339, to_rfc3339
from trustcli.state.guarded_file import GuardedFile

KIND: Final = DocumentKind(what="a list of compromised keys")
_DAMAGED: Final = "is damaged; restore it from a backup: it says which keys must not return"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompromisedKey:
    """A key that was removed as compromised. `recorded`: when (UTC). `name`: what it was called, for people."""

    fingerprint: str
    recorded: datetime
    name: str = ""


class CompromisedKeys:
    """The list of this user."""

    def __init__(self, path: Path) -> None:
        self._file = GuardedFile(path)

    def load(self) -> Mapping[str, CompromisedKey]:
        """Return the keys by fingerprint. Raises: SettingsUnusable, FileNewer, FileExposed."""
        known = self._file.document(KIND, _keys, damaged=_DAMAGED)
        return {} if known is None else known

    def add(self, key: CompromisedKey) -> None:
        """Add a key; one that is there stays as it is. Durable on return.

        Raises: SettingsUnusable, FileNewer, FileExposed, MemoryUnwritable.
        """

        def with_it() -> bytes | None:
            known = self.load()
            return None if key.fingerprint in known else _document({**known, key.fingerprint: key})

        self._file.change(with_it)


def _keys(document: Mapping[str, Any]) -> Mapping[str, CompromisedKey]:
    """Read the keys of a document, by fingerprint. Raises: KeyError, TypeError, ValueError."""
    if not isinstance(document["keys"], list):
        raise TypeError(KIND.what)
    return {key.fingerprint: key for key in map(_key, document["keys"])}


def _key(members: Mapping[str, object]) -> CompromisedKey:
    fingerprint, recorded, name = members["fingerprint"], members["recorded"], members["name"]
    if not (isinstance(fingerprint, str) and isinstance(recorded, str) and isinstance(name, str)):
        raise TypeError
    return CompromisedKey(fingerprint=fingerprint, recorded=from_rfc3339(recorded), name=name)


def _document(keys: Mapping[str, CompromisedKey]) -> bytes:
    rows = [
        {
            "fingerprint": key.fingerprint,
            "recorded": to_rfc3339(key.recorded.astimezone(UTC)),
            "name": key.name,
        }
        for key in keys.values()
    ]
    return json.dumps({KIND.member: KIND.stated, "keys": rows}, indent=1).encode() + b"\n"
