"""A cache that reads what another has, and keeps what is new to itself: for looking without leaving a trace."""

from __future__ import annotations

from typing import Final

from trustcli.client.ports import MetadataCache
from trustdata.roles import RoleName

_GONE: Final = b""
"""Stands for a file that was dropped here; no metadata file is empty."""


class OverlayCache:
    """`MetadataCache` over another one, which is never written."""

    def __init__(self, below: MetadataCache) -> None:
        self._below = below
        self._roots: dict[int, bytes] | None = None
        self._files: dict[RoleName, bytes] = {}

    def roots(self) -> list[bytes]:
        """See `MetadataCache.roots`."""
        found: list[bytes] = []
        mine = self._own_roots()
        while len(found) + 1 in mine:
            found.append(mine[len(found) + 1])
        return found

    def store_root(self, version: int, raw: bytes) -> None:
        """See `MetadataCache.store_root`."""
        self._own_roots()[version] = raw

    def drop_roots(self) -> None:
        """See `MetadataCache.drop_roots`."""
        self._roots = {}

    def load(self, role: RoleName) -> bytes | None:
        """See `MetadataCache.load`."""
        if role in self._files:
            return self._files[role] or None
        return self._below.load(role)

    def store(self, role: RoleName, raw: bytes) -> None:
        """See `MetadataCache.store`."""
        self._files[role] = raw

    def drop(self, role: RoleName) -> None:
        """See `MetadataCache.drop`."""
        self._files[role] = _GONE

    def _own_roots(self) -> dict[int, bytes]:
        if self._roots is None:
            self._roots = dict(enumerate(self._below.roots(), start=1))
        return self._roots
