"""Collections whose lists of denied digests count for every name (docs/adr/0108). Only the local file names them."""

from __future__ import annotations

from typing import Final

from keys.record import record
from trustdata.gun import GUN
from trustdata.policy.rule import Rule

MAX_DENY_LISTS: Final = 16
"""Each is read before any image is decided about."""


@record
class DenyingCollection:
    """A collection whose list counts. `terms`: how it is read: pins, server and bounds, as a rule of its own.

    Without a bound of its own, what was verified counts while servers are away until it expires.
    """

    name: GUN
    terms: Rule

    def __str__(self) -> str:
        return str(self.name)
