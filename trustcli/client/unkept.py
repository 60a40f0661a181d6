"""Replace cache and rollback memory for plans and `trust doctor`: they are read, and nothing is written to them.

The classes are imported where they are made, since most invocations keep what they verify.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trustcli.client.local_state import RollbackStore
    from trustcli.client.ports import MetadataCache


def unkept_cache(cache: MetadataCache) -> MetadataCache:
    """Return a cache that begins as this one, which is not changed."""
    from trustcli.client.overlay_cache import OverlayCache

    return OverlayCache(cache)


def unkept_memory(memory: RollbackStore) -> RollbackStore:
    """Return rollback memory that is read from this one and never written."""
    from trustcli.state.read_only import ReadOnlyMemory

    return ReadOnlyMemory(memory)
