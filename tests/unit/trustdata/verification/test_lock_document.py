"""The line that is named where a lock file is damaged, also in files that `trust lock` has not written."""

from __future__ import annotations

import pytest

from tests.support.refusal import refused
from trustdata.errors import FileNewer, LockDamaged
from trustdata.gun import parse_gun
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification.lock_document import read_lock, role_order, write_lock
from trustdata.verification.lock_entry import LockEntry
from trustdata.verification.trust_pinning import Pin

FIRST, SECOND = parse_gun("a.example/app"), parse_gun("b.example/app")
ENTRY = LockEntry(
    format="tuf-1.0",
    root_version=1,
    root=Pin("sha256", "ab" * 32),
    minimum={TIMESTAMP: 1, SNAPSHOT: 2, TARGETS: 3},
)
GOOD = write_lock({FIRST: ENTRY, SECOND: ENTRY}).decode()
HEAD = 'format = "content-trust-lock-1"\n'


def test_the_file_that_is_damaged_below() -> None:
    assert read_lock(GOOD.encode(), path="trust.lock") == {FIRST: ENTRY, SECOND: ENTRY}
    lines = GOOD.splitlines()
    assert lines[9] == f'[collections."{FIRST}".minimum]'
    assert lines[22] == "targets = 3"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 0, "is not of format"),
        ("format = 1\n", 1, "is not of format"),
        ("\nformat = 1\n", 2, "is not of format"),
        ('x = 1\nformat = "content-trust-lock-1"\n', 1, "x is no member"),
        (f'{HEAD}x = 1\n[collections.""]\n', 2, "x is no member"),
        (f"{HEAD}collections = 1\n", 2, "collections must be tables"),
        (f"{HEAD}collections.x = 1\n", 0, "x must have format"),
        (f"{HEAD}collections.x.minimum = 1\n", 0, "x must have format"),
        (GOOD.replace("timestamp = 1", "'timestamp' = -1", 1), 10, "timestamp must be an integer of 1"),
        (GOOD.replace("timestamp = 1\n", "", 1), 10, "the minimum version of timestamp is missing"),
        (GOOD.replace("targets = 3", "targets = 0", 1), 13, "targets must be an integer of 1"),
        (GOOD[: GOOD.rindex("=")] + "= 0\n", 23, "targets must be an integer of 1"),
        (GOOD.replace("root-version = 1", "root-version = 0", 1), 7, "root-version must be an integer of 1"),
        (GOOD + "x\n", 24, "is not TOML"),
        (GOOD + 'x = "\n', 24, "is not TOML"),
        ("x = [", 1, "is not TOML"),
        ("\n\nx = [\n\n\n", 3, "is not TOML"),
        ('x = """\nX\nX', 3, "is not TOML"),
        ('x = """\n ', 2, "is not TOML"),
        (GOOD.replace("timestamp = 1", f"timestamp = 1\n{'a' * 256} = 1", 1), 12, "must have 1 to 255"),
        (GOOD[: GOOD.rindex("[")] + "minimum = 3\n", 20, "minimum must be a table"),
    ],
)
def test_the_line(text: str, line: int, reason: str) -> None:
    with refused(LockDamaged, reason, path="trust.lock", line=line):
        read_lock(text.encode(), path="trust.lock")


def test_a_file_without_a_collection() -> None:
    assert read_lock(HEAD.encode(), path="trust.lock") == {}


@pytest.mark.parametrize(("raw", "line"), [(b"\xff\n", 1), (b"\n\n \xff\n\n", 3)])
def test_what_is_no_text(raw: bytes, line: int) -> None:
    with refused(LockDamaged, "is not UTF-8", path="trust.lock", line=line):
        read_lock(raw, path="trust.lock")


def test_a_file_of_a_newer_version_is_not_damaged() -> None:
    """Whatever else stands in it: another program has written it, and still needs it."""
    for text in ('format = "content-trust-lock-2"\n', 'format = "content-trust-lock-2"\nmore = 1\n'):
        with refused(FileNewer, path="trust.lock", what="a lock file", version=2, known=1):
            read_lock(text.encode(), path="trust.lock")


def test_the_order_of_roles() -> None:
    order = [ROOT, TIMESTAMP, SNAPSHOT, TARGETS, "targets/alice", "targets/bob", RELEASES]
    backwards = [*reversed(order)]
    assert sorted(backwards, key=role_order) == order
    minimum = {RoleName(role): 1 for role in backwards if role != ROOT}
    written = write_lock(
        {FIRST: LockEntry(format="tuf-1.0", root_version=1, root=ENTRY.root, minimum=minimum)}
    ).decode()
    listed = [line.split(" = ")[0].strip('"') for line in written.partition(".minimum]\n")[2].splitlines()]
    assert listed == order[1:]
