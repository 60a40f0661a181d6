"""Generated values: JSON as our formats have it, memories, sequences of edits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from trustdata.verification.rollback_memory import Memory, OnlineKeys, SeenRole

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=20
)
OBJECTS = st.dictionaries(TEXT, DOCUMENTS, max_size=6)

_ERAS = {
    n: OnlineKeys(
        timestamp=(f"t{n}",),
        timestamp_threshold=1,
        snapshot=(f"s{n // 3}",),
        snapshot_threshold=1,
        fingerprints={f"t{n}": f"T{n // 2}"},  # every second root writes the same key anew
    )
    for n in range(1, 9)
}
SEEN = st.builds(
    lambda version, root, sha256: SeenRole(version=version, root_version=root, keys=_ERAS[root], sha256=sha256),
    st.integers(1, 9),
    st.integers(1, 8),
    st.sampled_from(["", "ab" * 32, "cd" * 32]),
)
MEMORIES = st.builds(
    lambda roles, hours, named: Memory(
        root_of_trust="ab" * 32,
        roles=roles,
        refreshed=None if hours is None else datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours),
        named=named,
    ),
    st.dictionaries(st.sampled_from([ROOT, TIMESTAMP, SNAPSHOT, TARGETS, RELEASES]), SEEN),
    st.none() | st.integers(0, 99),
    st.booleans(),
)
