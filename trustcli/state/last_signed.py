"""`last-signed.json`: when each key last signed on this machine, for `trust key list`. Nothing depends on it.

{"version": 1, "keys": {"<fingerprint>": "2026-01-02T03:04:05Z"}}

Times are those of this machine's clock, in UTC: of the run that signed, not of the server, whose dates prove nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from keys.document_version import DocumentKind
from keys.rfc3339 import from_rfc3339, to_rfc3339
from trustcli.state.guarded_file import GuardedFile
from trustdata.digest import is_sha256_hex

MOST_KEYS: Final = 4096
"""So many keys are kept, those that have signed last."""
AHEAD: Final = timedelta(days=1)
"""A recorded time further ahead than this comes from a wrong clock; a smaller lead from a run that began later."""
KIND: Final = DocumentKind(what="a record of when keys have signed")
_DAMAGED: Final = "is damaged; remove it, and what keys sign from then on is noted anew"


class LastSigned:
    """The record of this user. Two processes that write at the same time both keep what they have noted."""

    def __init__(self, path: Path) -> None:
        self._file = GuardedFile(path)

    def load(self) -> Mapping[str, datetime]:
        """Return the times (UTC) by fingerprint; a key that has none is not noted. Raises: SettingsUnusable, FileNewer.

        Also FileExposed.
        """
        known = self._file.document(KIND, _times, damaged=_DAMAGED)
        return {} if known is None else known

    def note(self, fingerprints: Iterable[str], at: datetime) -> None:
        """Note that these keys have signed at `at`, if nothing later is known. Durable on return.

        Raises: SettingsUnusable, FileNewer, FileExposed, MemoryUnwritable; the file stays as it is then.
        """
        keys, now = frozenset(fingerprints), at.astimezone(UTC).replace(microsecond=0)

        def with_them() -> bytes | None:
            known = self.load()
            changed = {key: now for key in keys if key not in known or not now <= known[key] <= now + AHEAD}
            return _document({**known, **changed}) if changed else None

        self._file.change(with_them)


def _times(document: Mapping[str, Any]) -> Mapping[str, datetime]:
    """Read the times of a document. Raises: ValueError, KeyError, TypeError, AttributeError."""
    return {_fingerprint(key): from_rfc3339(at) for key, at in document["keys"].items()}


def _fingerprint(text: str) -> str:
    if not is_sha256_hex(text):
        raise ValueError(text)
    return text


def _document(keys: Mapping[str, datetime]) -> bytes:
    newest = sorted(keys.items(), key=lambda entry: (entry[1], entry[0]), reverse=True)[:MOST_KEYS]
    rows = {fingerprint: to_rfc3339(at) for fingerprint, at in sorted(newest)}
    return json.dumps({KIND.member: KIND.stated, "keys": rows}, indent=1).encode() + b"\n"
