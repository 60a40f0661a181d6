"""What was verified of a collection on this machine, read again from the cache alone: nobody is asked.

A cached file counts in one of two ways:

    seen      it is the very file of which rollback memory says that it was verified here, under the root of now
    signed    those sign it who must, by files that count; it is not older than what was verified here, and its root
              chain comes from the root of trust that was verified here

So who can write into the cache alone can hide a file, and put none in its place. Expiry does not matter: this says
whose keys they are, and is no verdict on an image.
"""

from __future__ import annotations

from trustcli.client.ports import MetadataCache
from trustdata.envelope import Envelope
from trustdata.errors import TrustError
from trustdata.roles import ROOT, TARGETS, RoleName
from trustdata.verification.checks import check_root_step, check_signatures
from trustdata.verification.delegations import as_delegator, delegations_of, reachable_delegations
from trustdata.verification.rollback_memory import Memory
from trustdata.wire import WireFormat


def verified_here(memory: Memory, cache: MetadataCache, wire: WireFormat) -> dict[RoleName, Envelope]:
    """Return root, targets and, where delegations may nest, the delegations, as far as they count; {} without a root.

    `memory`: what was verified of the collection. `cache`: of the collection, in the format `wire`.
    """
    root = _root(memory, cache, wire)
    if root is None:
        return {}
    found = {ROOT: root}
    for delegator, role in reachable_delegations(found):  # which looks into `found` again after each
        if role not in found and (role == TARGETS or wire.delegations_nest):
            file = _file(memory, cache, wire, found[delegator], role)
            if file is not None:
                found[role] = file
    return found


def _root(memory: Memory, cache: MetadataCache, wire: WireFormat) -> Envelope | None:
    """Return the newest root of the cache, if it counts."""
    raws, seen = cache.roots(), memory.roles.get(ROOT)
    try:
        newest = wire.parse(ROOT, raws[-1]) if raws else None
        if newest is None or seen is None or newest.version < seen.version:
            return None
        if newest.sha256 == seen.sha256:
            return newest
        chain = [wire.parse(ROOT, raw) for raw in raws]
        first = next((place for place, root in enumerate(chain) if root.sha256 == memory.root_of_trust), None)
        if first is None:
            return None
        for old, new in zip(chain[first:], chain[first + 1 :], strict=False):
            check_root_step(old, new)
    except TrustError:  # a cache proves nothing by itself; the next refresh replaces what is wrong with it
        return None
    return newest


def _file(
    memory: Memory, cache: MetadataCache, wire: WireFormat, delegator: Envelope, role: RoleName
) -> Envelope | None:
    """Return the cached file of a role that this delegator names, if it counts."""
    raw, seen = cache.load(role), memory.roles.get(role)
    if raw is None or seen is None:
        return None
    try:
        file = wire.parse(role, raw)
        if file.version < seen.version:
            return None
        under_this_root = role == TARGETS and seen.root_version == delegator.version
        if not (under_this_root and file.sha256 == seen.sha256):
            check_signatures(as_delegator(delegator), delegator.role, file)
        delegations_of(file.targets)  # more than can be listed: then nobody verifies by it either
    except TrustError:  # as above
        return None
    return file
