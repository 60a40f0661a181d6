"""Explain a refusal by the other collection that now stands under a known name.

Signatures of another collection are missing signatures for this one: "timestamp has 0 of 1 signatures" is true, and
helps nobody. So the server is asked for the root with which the known chain begins (docs/adr/0064).
"""

from __future__ import annotations

from collections.abc import Sequence

from trustcli.client.first_root import RootSearch
from trustcli.client.ports import MetadataRemote
from trustcli.client.updater import Updater
from trustdata.envelope import Envelope
from trustdata.errors import RootNotPinned, TrustError
from trustdata.gun import GUN
from trustdata.roles import ROOT
from trustdata.verification import checks
from trustdata.verification.trust_pinning import SourcedPin, chain_holds, fingerprint
from trustdata.wire import WireFormat


def other_collection(gun: GUN, wire: WireFormat, remote: MetadataRemote, updater: Updater) -> RootNotPinned | None:
    """Return the error that names both roots if the server's first root is another than that of the verified chain.

    `updater`: whose refresh was refused. None if the roots are the same, or nothing can be said about the server's.
    """
    if updater.progress is None:
        return None
    chain = updater.progress.roots
    try:
        found = _first_root(gun, wire, remote, chain)
    except TrustError:
        return None
    if found is None:
        return None
    known = _known(updater, chain[0], found)
    return RootNotPinned(gun=gun, pin=str(known.pin), pin_source=known.source, found=str(fingerprint(found)))


def _first_root(gun: GUN, wire: WireFormat, remote: MetadataRemote, chain: Sequence[Envelope]) -> Envelope | None:
    """Return the server's first root, if it is valid and of another chain."""
    version = chain[0].version
    raw = remote.fetch(gun, wire.filename(ROOT, version=version), limit=wire.size_limit(ROOT))
    root = wire.parse(ROOT, raw) if raw is not None else _later_root(gun, wire, remote, newest=chain[-1].version)
    if root is None or any(root.sha256 == known.sha256 for known in chain):
        return None
    checks.check_signatures(root.root, f"root version {root.version}", root)
    checks.check_root_belongs(gun, root, None, wire=wire)
    return root


def _later_root(gun: GUN, wire: WireFormat, remote: MetadataRemote, *, newest: int) -> Envelope | None:
    """Return the oldest root of a server that has none of the version asked for.

    None if it is at a later version than the known one: then it may be that older roots are only hidden.
    """
    if not wire.first_root_may_be_later:
        return None
    oldest = RootSearch(gun, wire, remote).oldest()
    return None if oldest is None or oldest.version > newest else oldest


def _known(updater: Updater, first: Envelope, found: Envelope) -> SourcedPin:
    """Return what is known here that the server's root is not; of several the first."""
    pins = updater.counted_pins()
    if updater.lock is not None:
        pins.append(SourcedPin(pin=updater.lock.entry.root, source=updater.lock.source))
    unheld = [pinned for pinned in pins if not chain_holds(pinned.pin, [found], updater.at)]
    return next(iter(unheld), SourcedPin(pin=fingerprint(first), source="the cache of this machine"))
