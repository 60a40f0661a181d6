"""What a publisher notes of the keys that it has signed with, for `trust key list`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from keys.algorithms import accepted_fingerprints
from trustcli.errors import FileExposed, MemoryUnwritable, SettingsUnusable
from trustcli.state.last_signed import LastSigned
from trustdata.errors import FileNewer
from trustdata.model import Key


def last_signed(home: Path) -> LastSigned:
    """Return the record of when keys have signed here."""
    return LastSigned(home / "last-signed.json")


class KeyRecord:
    """Notes when keys have signed. That it cannot be noted stops nothing, and is said.

    `at`: the reference time of the run. `warn`: shows the user a warning.
    """

    def __init__(self, home: Path, at: datetime, warn: Callable[[str], None]) -> None:
        self._file = last_signed(home)
        self._at = at
        self._warn = warn

    def signed(self, keys: Iterable[Key]) -> None:
        """Note that these keys have signed what is sent next."""
        try:
            self._file.note(accepted_fingerprints(keys), self._at)
        except (SettingsUnusable, MemoryUnwritable, FileNewer, FileExposed) as error:
            self._warn(f"trust key list will not know that keys have signed now: {error}")
