"""Values that the tests of the client's state share, also with the processes that they start; imports no test tools."""

from __future__ import annotations

from datetime import UTC, datetime

from keys.record import replace
from trustcli.state.pins import PinEntry
from trustdata.gun import parse_gun
from trustdata.roles import RoleName
from trustdata.verification.rollback_memory import Memory, OnlineKeys, SeenRole
from trustdata.verification.trust_pinning import parse_pin

APP, OTHER = parse_gun("registry.example.com/app"), parse_gun("docker.io/library/alpine")
KEYS = OnlineKeys(timestamp=("t1",), timestamp_threshold=1, snapshot=("s1",), snapshot_threshold=1)
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def memory(root_of_trust: str = "aa", refreshed: datetime | None = AT, **versions: int) -> Memory:
    roles = {RoleName(r): SeenRole(version=v, root_version=1, keys=KEYS) for r, v in versions.items()}
    return Memory(root_of_trust=root_of_trust, roles=roles, refreshed=refreshed)


ENTRY = PinEntry(
    pin=parse_pin("sha256:" + "ab" * 32),
    format="tuf-1.0",
    recorded=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    how="init",
)
ANOTHER = replace(ENTRY, pin=parse_pin("key:" + "cd" * 32), how="pin")
