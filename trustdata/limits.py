"""Sizes, in bytes: the smallest that any TUF client reads (python-tuf, go-tuf, tuf-js; snapshot: tough)."""

from __future__ import annotations

from typing import Final

from trustdata.roles import ROOT, SNAPSHOT, TIMESTAMP

MAX_ROOT: Final = 512_000
MAX_TIMESTAMP: Final = 16_384
MAX_SNAPSHOT: Final = 1_048_576
MAX_TARGETS: Final = 5_000_000
MAX_ROOT_ROTATIONS: Final = 256
"""Roots that one update follows, at most (python-tuf's limit)."""
MAX_DELEGATIONS: Final = 32
"""Delegated roles that one lookup visits, at most (python-tuf's limit)."""
MAX_DEPTH: Final = 32
"""Nesting of JSON; no TUF document needs more than eight."""
SECOND_OPINION_BELOW: Final = 512 * 1024
"""Uploads up to this size are judged by python-tuf's own parser too; it costs 64 ms per MB."""

MAX_NOTARY_TIMESTAMP: Final = 1024 * 1024
MAX_NOTARY_FILE: Final = 100 * 1024 * 1024
"""What Notary v1's clients read: a timestamp, and anything else."""


def notary_size_limit(role: str) -> int:
    """The most bytes that a Notary v1 file of this role may have."""
    return MAX_NOTARY_TIMESTAMP if role == TIMESTAMP else MAX_NOTARY_FILE


def size_limit(role: str) -> int:
    """The most bytes that a TUF 1.0 file of this role may have."""
    return {ROOT: MAX_ROOT, TIMESTAMP: MAX_TIMESTAMP, SNAPSHOT: MAX_SNAPSHOT}.get(role, MAX_TARGETS)  # type: ignore[call-overload, no-any-return]
