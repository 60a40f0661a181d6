"""A remote that has nothing: an offline run asks nobody."""

from __future__ import annotations

from trustcli.errors import OfflineTooOld
from trustdata.gun import GUN


class NoRemote:
    """A remote that has no files, for offline runs."""

    name = "offline"

    def __init__(self, gun: GUN) -> None:
        self._gun = gun

    def fetch(self, gun: GUN, filename: str, *, limit: int) -> bytes | None:
        """Refuse. Raises: OfflineTooOld."""
        del gun, limit
        raise OfflineTooOld(gun=self._gun, reason=f"{filename} is not in the cache")
