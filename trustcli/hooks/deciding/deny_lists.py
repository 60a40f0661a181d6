"""The lists of denied digests that a policy takes from named collections, for every name (docs/adr/0108).

A list that cannot be had refuses everything but what stands under `[verifier] allow`: the first image of a node may be
what the trust server needs to start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keys.record import record
from keys.rfc3339 import to_rfc3339
from trustcli.errors import DenyListNotObtained
from trustdata.errors import NotTrusted

if TYPE_CHECKING:
    from trustcli.hooks.deciding.ports import TrustDataReader
    from trustdata.denied import DenyList
    from trustdata.policy import DenyingCollection


@record
class Denials:
    """The lists that count now. `warnings`: of those that nobody could confirm now."""

    lists: tuple[DenyList, ...] = ()
    warnings: tuple[str, ...] = ()


NOTHING_DENIED = Denials()


def current_denials(denying: Sequence[DenyingCollection], reader: TrustDataReader) -> Denials:
    """Return what the named collections deny. Raises: DenyListNotObtained."""
    if not denying:
        return NOTHING_DENIED
    lists: list[DenyList] = []
    warnings: list[str] = []
    for of in denying:
        read = reader.denied(of.name, of.terms)
        if read.denied is None:
            raise DenyListNotObtained(name=str(of), reason=str(read.refusal or NotTrusted())) from read.refusal
        lists.append(read.denied)
        if read.stale:
            since = to_rfc3339(read.refreshed) if read.refreshed else "an unknown time"
            warnings.append(f"the denied digests of {of} are from {since}: the trust server is away")
    return Denials(lists=tuple(lists), warnings=tuple(warnings))
