"""Try how clients would update after a publish: the real updater reads files that no server has yet.

Three clients: one that knows the present state, one that is ten roots behind, one that knows the first root alone. The
first has rollback memory and a full cache, as a machine that verifies daily.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from trustcli.client.local_state import Known
from trustcli.client.memory_cache import MemoryCache
from trustcli.client.updater import Updater
from trustcli.publish.plan import Behind, ClientUpdate, Current
from trustcli.publish.preparation import Roles
from trustdata.envelope import Envelope
from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustdata.roles import RELEASES, ROOT, TARGETS, TIMESTAMP
from trustdata.verification.delegations import delegations_of, role_keys
from trustdata.verification.rollback_memory import observe
from trustdata.verification.target_lookup import each_released
from trustdata.verification.trust_pinning import SourcedPin, fingerprint
from trustdata.wire import WireFormat

_TEN: Final = 10


def rehearse(gun: GUN, current: Current, after: Current, *, wire: WireFormat, at: datetime) -> tuple[ClientUpdate, ...]:
    """Return the result for each client that updates from `current` to `after`.

    A new collection has one client only, which knows its first root.
    """
    rehearsal = _Rehearsal(gun, _PlannedRemote(_files(after, wire)), wire, at)
    if not current.chain:
        return (rehearsal.update("all", after.chain[:1], {}),)
    ten_behind = after.chain[: max(1, len(after.chain) - _TEN)]
    return (
        rehearsal.update("one", current.chain, current.roles),
        rehearsal.update("ten", ten_behind, {}),
        rehearsal.update("all", current.chain[:1], {}),
    )


def refused_pins(before: Roles, after: Roles) -> tuple[str, ...]:
    """Return the ids of the root certificates that let in who pins one of them before a publish, and not after it.

    `notary` with `trust_pinning`, as long as it has no root of a collection, begins with the newest one: that must name
    the pinned certificate and be signed with its key. Whoever has a root follows the chain, whatever is pinned.
    """
    if ROOT not in before:
        return ()
    return tuple(keyid for keyid in _signing(before[ROOT]) if keyid not in _signing(after[ROOT]))


def refused_authorities(before: Roles, after: Roles) -> tuple[str, ...]:
    """Return the names of the authorities (CA) whose word for the root a publish ends: who pins one refuses it then.

    They have issued certificates of keys that have signed the root before it, and none of the next one's.
    """
    if ROOT not in before:
        return ()
    known, next_ones = _authorities(before[ROOT]), _authorities(after[ROOT])
    return tuple(name for name in known if name not in next_ones)


def _authorities(root: Envelope) -> list[str]:
    from keys.certificate import issuer_of  # Notary v1 only: start-up time

    keys = role_keys(root.root, ROOT)
    names = (issuer_of(keys[keyid]) for keyid in _signing(root) if keyid in keys)
    return list(dict.fromkeys(name for name in names if name))


def _signing(root: Envelope) -> list[str]:
    """Return the ids of the root keys that have signed a root which names them."""
    return [keyid for keyid in root.root.roles[ROOT].keyids if keyid in root.signatures]


def _files(after: Current, wire: WireFormat) -> dict[str, bytes]:
    files = {wire.filename(ROOT, version=root.version): root.raw for root in after.chain}
    for role, envelope in after.roles.items():
        version = None if role == TIMESTAMP else envelope.version
        files[wire.filename(role, version=version)] = envelope.raw
        files[wire.listed_filename(role, wire.meta(envelope), consistent=role != TIMESTAMP)] = envelope.raw
    return files


class _Rehearsal:
    def __init__(self, gun: GUN, remote: _PlannedRemote, wire: WireFormat, at: datetime) -> None:
        self._gun = gun
        self._remote = remote
        self._wire = wire
        self._at = at

    def update(self, behind: Behind, chain: Sequence[Envelope], seen: Roles) -> ClientUpdate:
        """Update one client. `chain`: the roots that it knows. `seen`: the other roles that it has verified before."""
        cache = MemoryCache()
        for root in chain:
            cache.store_root(root.version, root.raw)
        for role, envelope in seen.items():
            if role != ROOT:
                cache.store(role, envelope.raw)
        newest = chain[-1]
        memory = observe(
            root_of_trust=chain[0].sha256,
            root=newest.root,
            versions={ROOT: newest.version, **{role: envelope.version for role, envelope in seen.items()}},
            refreshed=None,
        )
        pin = SourcedPin(pin=fingerprint(chain[0]), source="the first root")
        updater = Updater(
            gun=self._gun,
            wire=self._wire,
            remote=self._remote,
            known=Known(cache=cache, pins=[pin], memory=memory),
            at=self._at,
        )
        found = ClientUpdate(
            behind=behind, root_from=newest.version, root_to=None, versions={}, tags=None, refusal=None
        )
        try:
            updater.refresh()
        except TrustError as refusal:
            return replace(found, refusal=refusal)
        found = replace(found, root_to=updater.roots()[-1].version, versions=updater.versions())
        try:
            updater.load_published(
                role for role in delegations_of(updater.roles()[TARGETS].targets) if role == RELEASES
            )
            return replace(found, tags=sum(1 for _ in each_released(updater.roles())))
        except TrustError:
            return found  # it can update but sees no tag: the releases have expired, or conflict


class _PlannedRemote:
    """A `MetadataRemote` with the files that the server would have."""

    name = "the server as planned"

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def fetch(self, gun: GUN, filename: str, *, limit: int) -> bytes | None:
        """Return the planned file, or None."""
        del gun, limit
        return self._files.get(filename)
