"""A cache that reads from another one and keeps changes to itself, so that plans and `trust doctor` write nothing."""

from __future__ import annotations

from typing import Final

from trustcli.client.memory_cache import without_gaps
from trustcli.client.ports import MetadataCache
from trustdata.roles import RoleName

_GONE: Final = b""
"""Marks a file as deleted in the overlay; no metadata file is empty."""


class OverlayCache:
    """A `MetadataCache` on top of another one, which is only read."""

    def __init__(self, below: MetadataCache) -> None:
        self._below = below
        self._roots: dict[int, bytes] | None = None
        self._files: dict[RoleName, bytes] = {}

    def roots(self) -> list[bytes]:
        """Return the stored roots from the lowest version on, ascending, up to the first gap."""
        return list(self.numbered_roots().values())

    def numbered_roots(self) -> dict[int, bytes]:
        """Return what `roots` returns, by version."""
        return without_gaps(self._own_roots())

    def store_root(self, version: int, raw: bytes) -> None:
        """Store one version of root beside the others."""
        self._own_roots()[version] = raw

    def drop_roots(self) -> None:
        """Forget all roots."""
        self._roots = {}

    def load(self, role: RoleName) -> bytes | None:
        """Return the newest stored file of a role other than root, or None."""
        if role in self._files:
            return self._files[role] or None
        return self._below.load(role)

    def store(self, role: RoleName, raw: bytes) -> None:
        """Store a role's file in place of the older one."""
        self._files[role] = raw

    def drop(self, role: RoleName) -> None:
        """Forget a role's file."""
        self._files[role] = _GONE

    def _own_roots(self) -> dict[int, bytes]:
        if self._roots is None:
            self._roots = self._below.numbered_roots()
        return self._roots
