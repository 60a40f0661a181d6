"""A stand-in for a trust server that has already failed: every call raises the same error without asking again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NoReturn

from trustcli.errors import RemoteRefused
from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustdata.roles import RoleName


class FailedServer:
    """A trust server that raises its first failure again at every call.

    It implements `ports.MetadataRemote` and `PublishRemote`. Asking the real server again would only take its time
    limit a second time.
    """

    def __init__(self, name: str, failure: TrustError) -> None:
        self.name = name
        self.told_time: datetime | None = None
        self.doubtful_absence: RemoteRefused | None = None
        self._failure = failure

    def fetch(self, gun: GUN, filename: str, *, limit: int) -> NoReturn:
        """Raise the failure."""
        del gun, filename, limit
        raise self._failure

    def publish(self, gun: GUN, files: Mapping[RoleName, bytes]) -> NoReturn:
        """Raise the failure."""
        del gun, files
        raise self._failure

    def online_key(self, gun: GUN, role: RoleName) -> NoReturn:
        """Raise the failure."""
        del gun, role
        raise self._failure

    def new_online_key(self, gun: GUN, role: RoleName) -> NoReturn:
        """Raise the failure."""
        del gun, role
        raise self._failure

    def collection(self, gun: GUN) -> NoReturn:
        """Raise the failure."""
        del gun
        raise self._failure

    def tombstone(self, gun: GUN) -> NoReturn:
        """Raise the failure."""
        del gun
        raise self._failure

    def delete(self, gun: GUN) -> NoReturn:
        """Raise the failure."""
        del gun
        raise self._failure
