"""Say whether a pin and what this machine has verified before can belong to one collection."""

from __future__ import annotations

from collections.abc import Callable

from trustcli.client.file_cache import FileCache
from trustcli.state.pins import PinEntry
from trustdata.errors import TrustError
from trustdata.roles import ROOT
from trustdata.verification.rollback_memory import Memory
from trustdata.verification.trust_pinning import chain_holds
from trustdata.wire.formats import wire_named


def agrees_with_memory(entry: PinEntry, memory: Memory | None, cache: Callable[[str], FileCache]) -> bool:
    """Return whether rollback memory can belong to the pinned root, as far as the cache tells.

    `cache`: returns the collection's cache in a format.
    """
    if memory is None or memory.root_of_trust == entry.pin.digest:
        return True
    try:
        wire = wire_named(entry.format)
        chain = [wire.parse(ROOT, raw) for raw in cache(wire.name).roots()]
    except TrustError:
        return True  # a damaged cache proves nothing; the next refresh replaces it
    if not chain or chain[0].sha256 != memory.root_of_trust:
        return entry.how == "pin"  # the pin may be of a later root, or a key: only a refresh can tell
    return chain_holds(entry.pin, chain)
