"""Find the keys that known collections use, from their newest cached roots."""

from __future__ import annotations

from collections.abc import Iterable

from keys.algorithms import accepted_fingerprints
from trustcli.session import Session
from trustdata.gun import GUN
from trustdata.roles import ROOT
from trustdata.verification.delegations import role_keys
from trustdata.wire.formats import wire_named


def keys_in_use(session: Session, *, besides: Iterable[GUN] = ()) -> set[str]:
    """Return the fingerprints of the keys that the cached roots of pinned collections name.

    `besides`: collections that do not count. Raises: SettingsUnusable, MalformedMetadata for a damaged cache.
    """
    used: set[str] = set()
    pins = session.pins.load()
    for gun in pins.keys() - set(besides):
        wire = wire_named(pins[gun].format)
        roots = session.cache(pins[gun].named or gun, wire.name).roots()
        if roots:
            root = wire.parse(ROOT, roots[-1]).root
            used |= accepted_fingerprints(key for role in root.roles for key in role_keys(root, role).values())
    return used
