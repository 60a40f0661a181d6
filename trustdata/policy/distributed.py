"""Where a policy that is distributed comes from: an artifact `NAME:TAG`, whose digest a collection signs.

Only the local file says so. What is distributed only tightens it: see `selection`.
"""

from __future__ import annotations

from keys.record import record
from trustdata.gun import GUN, Tag
from trustdata.policy.rule import Rule


@record
class Distributed:
    """The artifact `name:tag`. `terms`: by what its collection is judged: pins, signers, server, as a rule of its own.

    `terms.max_staleness` is without bound: while servers are away, what was verified counts until it expires.
    """

    name: GUN
    tag: Tag
    terms: Rule

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}"
