"""What keys may sign in the collections that are known here, and when they last signed here. Nobody is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final

from keys.algorithms import accepted_fingerprints, key_fingerprint
from keys.rfc3339 import to_rfc3339
from trustcli.client.format_discovery import cached_format
from trustcli.client.verified_here import verified_here
from trustcli.publish.key_record import last_signed
from trustcli.session import Session
from trustdata.counting import counted
from trustdata.envelope import Envelope
from trustdata.errors import TrustError, shown
from trustdata.gun import GUN
from trustdata.model import Key
from trustdata.roles import RoleName
from trustdata.verification.delegations import as_delegator, every_delegation, keys_of
from trustdata.wire.formats import wire_named

_MOST_WORDS: Final = 2
"""So many different things that a key may sign are told one by one in a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUses:
    """The uses of all keys by fingerprint, as far as they are known here.

    `collections`: the roles by collection; None if what this machine knows cannot be read. `unread`: the collections
    that are known here, of which nothing that was verified is in the cache. `signed`: when a key last signed here.
    """

    collections: Mapping[str, Mapping[GUN, list[str]]] | None
    unread: tuple[GUN, ...] = ()
    signed: Mapping[str, datetime] = field(default_factory=dict)

    def of(self, public: Key) -> dict[GUN, list[str]]:
        """Return the roles that the key may sign, by collection."""
        known = self.collections if self.collections is not None else {}
        return dict(known.get(key_fingerprint(public), {}))

    def row(self, public: Key) -> dict[str, object]:
        """Return what lists of keys say besides."""
        used = self.of(public) if self.collections is not None else None
        return {"collections": used, "last_signed": self.last(public)}

    def last(self, public: Key) -> str | None:
        """Return when the key last signed here; None if nothing is noted."""
        at = self.signed.get(key_fingerprint(public))
        return to_rfc3339(at) if at is not None else None

    def columns(self, public: Key) -> tuple[str, str]:
        """Return what the key may sign, and when it last signed here, in a few words each."""
        at = self.signed.get(key_fingerprint(public))
        when = f"{at:%Y-%m-%d %H:%M} UTC" if at is not None else "-"
        return ("?" if self.collections is None else summary(self.of(public))), when


def summary(used: Mapping[GUN, list[str]]) -> str:
    """Return in a few words what a key may sign, whatever the number of collections: `-` for nothing known."""
    by_role: dict[str, list[GUN]] = {}
    for gun, roles in used.items():
        for role in roles:
            by_role.setdefault(role, []).append(gun)
    together: dict[tuple[GUN, ...], list[str]] = {}
    for role, guns in by_role.items():
        together.setdefault(tuple(guns), []).append(role)
    few = len(together) <= _MOST_WORDS and all(len(roles) <= _MOST_WORDS for roles in together.values())
    if not few:
        return f"{counted(len(by_role), 'role')} {_where(tuple(used))}"
    return ", ".join(f"{' and '.join(map(shown, roles))} {_where(guns)}" for guns, roles in together.items()) or "-"


def _where(guns: tuple[GUN, ...]) -> str:
    return f"of {guns[0]}" if len(guns) == 1 else f"in {counted(len(guns), 'collection')}"


def key_uses(session: Session) -> KeyUses:
    """Return what is known here. What cannot be read is warned of and left out: the keys themselves are known."""
    try:
        signed = last_signed(session.settings.home).load()
    except TrustError as error:
        session.output.warn(f"when keys last signed here is not known: {error}")
        signed = {}
    try:
        used, unread = _used(session)
    except TrustError as error:
        session.output.warn(f"what keys may sign is not known: {error}")
        return KeyUses(collections=None, signed=signed)
    return KeyUses(collections=used, unread=unread, signed=signed)


def _used(session: Session) -> tuple[dict[str, dict[GUN, list[str]]], tuple[GUN, ...]]:
    """Return the roles by fingerprint and collection, and the collections of which nothing is known.

    Raises: SettingsUnusable, FileNewer, FileExposed, MemoryDamaged.
    """
    used: dict[str, dict[GUN, list[str]]] = {}
    unread = []
    for gun, files in _collections(session):
        if not files:
            unread.append(gun)
        for fingerprint, role in _named(files):
            roles = used.setdefault(fingerprint, {}).setdefault(gun, [])
            if role not in roles:
                roles.append(role)
    return used, tuple(unread)


def _collections(session: Session) -> Iterator[tuple[GUN, dict[RoleName, Envelope]]]:
    """Yield each collection that is known here once, under its pinned name if it has one, with its files that count."""
    pins, memories = session.pins.load(), session.memory.snapshot()
    names = {pins[gun].named or gun: gun for gun in session.pins.names_of_collections()}
    names = {gun: gun for gun in session.memory.names()} | names
    for real, name in sorted(names.items(), key=lambda pair: pair[1]):
        memory = memories(real)
        wire = wire_named(pins[name].format) if name in pins else cached_format(partial(session.cache, real))
        files: dict[RoleName, Envelope] = {}
        if memory is not None and wire is not None:
            files = verified_here(memory, session.cache(real, wire.name), wire)
        yield name, files


def _named(files: Mapping[RoleName, Envelope]) -> Iterator[tuple[str, str]]:
    """Yield the fingerprint of each key with each role that it may sign."""
    for delegator, role in every_delegation(files) if files else ():
        if delegator not in files:
            continue
        names = as_delegator(files[delegator])
        keys = keys_of(names)
        ids = names.get_delegated_role(role).keyids
        for fingerprint in accepted_fingerprints(keys[keyid] for keyid in ids if keyid in keys):
            yield fingerprint, str(role)
