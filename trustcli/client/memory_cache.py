"""A cache in memory that starts empty: to look at a collection as a client that has never seen it."""

from __future__ import annotations

from collections.abc import Mapping

from trustdata.roles import RoleName


class MemoryCache:
    """A `MetadataCache` in memory, lost when the process ends."""

    def __init__(self) -> None:
        self._roots: dict[int, bytes] = {}
        self._files: dict[RoleName, bytes] = {}

    def roots(self) -> list[bytes]:
        return list(self.numbered_roots().values())

    def numbered_roots(self) -> dict[int, bytes]:
        return without_gaps(self._roots)

    def store_root(self, version: int, raw: bytes) -> None:
        self._roots[version] = raw

    def drop_roots(self) -> None:
        self._roots.clear()

    def load(self, role: RoleName) -> bytes | None:
        return self._files.get(role)

    def store(self, role: RoleName, raw: bytes) -> None:
        self._files[role] = raw

    def drop(self, role: RoleName) -> None:
        self._files.pop(role, None)


def without_gaps(roots: Mapping[int, bytes]) -> dict[int, bytes]:
    """Return the roots from the lowest version on, ascending, up to the first gap."""
    found: dict[int, bytes] = {}
    version = min(roots, default=0)
    while version in roots:
        found[version] = roots[version]
        version += 1
    return found
