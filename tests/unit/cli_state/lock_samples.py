"""Two entries of a lock file that tests share."""

from __future__ import annotations

from typing import Final

from trustdata.roles import RELEASES, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification.lock_entry import LockEntry
from trustdata.verification.trust_pinning import Pin

FIRST: Final = LockEntry(
    format="tuf-1.0",
    root_version=2,
    root=Pin("sha256", "ab" * 32),
    minimum={RELEASES: 3, RoleName("targets/alice"): 1, TARGETS: 4, SNAPSHOT: 7, TIMESTAMP: 8},
)


SECOND: Final = LockEntry(
    format="tuf-1.0", root_version=1, root=Pin("sha256", "cd" * 32), minimum={SNAPSHOT: 1, TARGETS: 1, TIMESTAMP: 1}
)
