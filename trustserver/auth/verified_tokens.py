"""Keep what verified registry tokens allow, so that a read need not check a signature again."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Final

from trustserver.auth.tokens import Grant

MAX_KEPT_TOKENS: Final = 1024
"""How many verified tokens are kept; the least recently used is dropped first."""
MAX_KEPT_RESOURCES: Final = 16 * 1024
"""How many resources the kept tokens may name in all, since each of them takes memory: some megabytes."""


class VerifiedTokens:
    """What verified tokens allow, by the SHA-256 of the token."""

    def __init__(self) -> None:
        self._grants: OrderedDict[bytes, Grant] = OrderedDict()
        self._resources = 0

    def __len__(self) -> int:
        return len(self._grants)

    def find(self, digest: bytes, at: datetime) -> Grant | None:
        """Return what a token allows that was verified before and has not expired."""
        known = self._grants.get(digest)
        if known is None:
            return None
        if at.timestamp() >= known.until:
            self._drop(digest)
            return None
        self._grants.move_to_end(digest)
        return known

    def keep(self, digest: bytes, grant: Grant) -> None:
        """Keep what a verified token allows, and drop the least recently used ones if there are too many."""
        self._drop(digest)
        self._grants[digest] = grant
        self._resources += len(grant.actions)
        while len(self._grants) > MAX_KEPT_TOKENS or self._resources > MAX_KEPT_RESOURCES:
            self._drop(next(iter(self._grants)))

    def _drop(self, digest: bytes) -> None:
        dropped = self._grants.pop(digest, None)
        if dropped is not None:
            self._resources -= len(dropped.actions)
