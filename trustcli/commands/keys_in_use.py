"""Which keys the collections of this machine are known to use: what their newest cached roots name."""

from __future__ import annotations

from collections.abc import Iterable

from trustcli.session import Session
from trustdata.gun import GUN
from trustdata.roles import ROOT
from trustdata.wire.tuf import TUF


def keys_in_use(session: Session, *, besides: Iterable[GUN] = ()) -> set[str]:
    """The ids of the keys that roots of pinned collections name, as far as this machine has seen them.

    `besides`: collections that do not count. Raises: MalformedMetadata for a damaged cache.
    """
    named: set[str] = set()
    for gun in set(session.pins.load()) - set(besides):
        roots = session.cache(gun).roots()
        if roots:
            named |= set(TUF.parse(ROOT, roots[-1]).root.keys)
    return named
