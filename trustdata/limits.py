"""Limits of sizes (in bytes) and counts. For TUF 1.0: the smallest limit of the TUF clients.

The clients are python-tuf, go-tuf and tuf-js; for the snapshot it is tough.
"""

from __future__ import annotations

from typing import Final

from trustdata.roles import ROOT, SNAPSHOT, TIMESTAMP

MAX_ROOT: Final = 512_000
MAX_TIMESTAMP: Final = 16_384
MAX_SNAPSHOT: Final = 1_048_576
MAX_TARGETS: Final = 5_000_000
MAX_ROOT_ROTATIONS: Final = 256
"""The maximum number of new roots that one update loads (python-tuf's limit)."""
MAX_DEPTH: Final = 32
"""The maximum nesting of JSON. No TUF document needs more than eight levels."""
SECOND_OPINION_BELOW: Final = 512 * 1024
"""Files up to this size are also checked by python-tuf's own parser, which takes 64 ms per MB."""

MAX_NOTARY_TIMESTAMP: Final = 1024 * 1024
MAX_NOTARY_FILE: Final = 100 * 1024 * 1024
"""The limits of the Notary v1 clients, for the timestamp and for every other file."""


def notary_size_limit(role: str) -> int:
    """Return the maximum size of a Notary v1 file of this role, in bytes."""
    return MAX_NOTARY_TIMESTAMP if role == TIMESTAMP else MAX_NOTARY_FILE


def size_limit(role: str) -> int:
    """Return the maximum size of a TUF 1.0 file of this role, in bytes."""
    return {ROOT: MAX_ROOT, TIMESTAMP: MAX_TIMESTAMP, SNAPSHOT: MAX_SNAPSHOT}.get(role, MAX_TARGETS)  # type: ignore[call-overload, no-any-return]
