"""What a publisher knows of the keys of this user: which must not return, and when which has signed here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from keys.algorithms import accepted_fingerprints
from keys.rfc3339 import to_rfc3339
from trustcli.errors import FileExposed, MemoryUnwritable, SettingsUnusable
from trustcli.publish.compromised_keys import Compromised
from trustcli.state.compromised import CompromisedKeys
from trustcli.state.last_signed import LastSigned
from trustdata.errors import FileNewer
from trustdata.model import Key


def last_signed(home: Path) -> LastSigned:
    """Return the record of when keys have signed here."""
    return LastSigned(home / "last-signed.json")


def compromised_list(home: Path) -> CompromisedKeys:
    """Return the list of this user, to which a key is added when it is removed as compromised."""
    return CompromisedKeys(home / "compromised.json")


def compromised_keys(home: Path) -> Compromised:
    """Return the keys that must not return. Raises: SettingsUnusable, FileNewer, FileExposed."""
    return {key.fingerprint: to_rfc3339(key.recorded) for key in compromised_list(home).load().values()}


class KeyRecord:
    """Says which keys are compromised, and notes when keys have signed. That this cannot be noted stops nothing.

    `at`: the reference time of the run. `warn`: shows the user a warning.
    """

    def __init__(self, home: Path, at: datetime, warn: Callable[[str], None]) -> None:
        self._home = home
        self._at = at
        self._warn = warn

    def compromised(self) -> Compromised:
        """Return the keys that must not return. Raises: SettingsUnusable, FileNewer, FileExposed."""
        return compromised_keys(self._home)

    def signed(self, keys: Iterable[Key]) -> None:
        """Note that these keys have signed what is sent next."""
        try:
            last_signed(self._home).note(accepted_fingerprints(keys), self._at)
        except (SettingsUnusable, MemoryUnwritable, FileNewer, FileExposed) as error:
            self._warn(f"trust key list will not know that keys have signed now: {error}")
