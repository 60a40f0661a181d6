"""seen.json: merged under a lock, durable, and never silently begun anew."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.cli_state.samples import ANOTHER, APP, AT, ENTRY, OTHER, memory
from trustcli.console import exit_codes
from trustcli.console.failure_table import row_for
from trustcli.errors import MemoryUnwritable
from trustcli.state.memory import MemoryFile
from trustcli.state.pins import PinsFile
from trustdata.errors import (
    MemoryDamaged,
    MemoryUnreadable,
    RootNotPinned,
)
from trustdata.roles import SNAPSHOT, TARGETS, TIMESTAMP


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "seen.json"


@pytest.fixture
def seen(path: Path) -> MemoryFile:
    return MemoryFile(path)


def test_nothing_is_remembered_of_an_unknown_name(seen: MemoryFile) -> None:
    assert seen.load(APP) is None
    seen.remember(OTHER, memory(timestamp=1))
    assert seen.load(APP) is None


def test_what_is_remembered_is_there_for_the_next_process(seen: MemoryFile, path: Path) -> None:
    seen.remember(APP, memory(timestamp=3, snapshot=2, targets=1))
    seen.remember(OTHER, memory("bb", None, timestamp=9))
    assert MemoryFile(path).load(APP) == memory(timestamp=3, snapshot=2, targets=1)
    assert MemoryFile(path).load(OTHER) == memory("bb", None, timestamp=9)
    assert path.stat().st_mode & 0o7777 == 0o600


def test_a_slower_process_does_not_take_back_what_a_faster_one_saw(seen: MemoryFile) -> None:
    seen.remember(APP, memory(timestamp=5, targets=7))
    seen.remember(APP, memory(refreshed=AT - timedelta(hours=1), timestamp=4, targets=8, snapshot=1))
    merged = seen.load(APP)
    assert merged is not None
    assert {r: s.version for r, s in merged.roles.items()} == {TIMESTAMP: 5, TARGETS: 8, SNAPSHOT: 1}


def test_the_newest_refresh_counts_also_after_a_clock_that_was_ahead(seen: MemoryFile) -> None:
    seen.remember(APP, memory(refreshed=AT + timedelta(days=400), timestamp=5))
    seen.remember(APP, memory(refreshed=AT, timestamp=5))
    assert seen.load(APP) == memory(refreshed=AT, timestamp=5)
    seen.remember(APP, memory(refreshed=None, timestamp=5))
    assert seen.load(APP) == memory(refreshed=AT, timestamp=5)


def test_what_is_known_already_is_not_written_again(seen: MemoryFile, path: Path) -> None:
    seen.remember(APP, memory(timestamp=5))
    before = path.stat().st_ino
    seen.remember(APP, memory(timestamp=5))
    assert path.stat().st_ino == before
    seen.remember(APP, memory(timestamp=6))
    assert path.stat().st_ino != before


def test_another_root_of_trust_is_refused_until_the_first_is_forgotten(seen: MemoryFile) -> None:
    seen.remember(APP, memory("aa", timestamp=5))
    with pytest.raises(RootNotPinned) as caught:
        seen.remember(APP, memory("bb", timestamp=9))
    assert caught.value.details() == {
        "gun": APP,
        "pin": f"sha256:{memory('aa').root_of_trust}",
        "pin_source": "rollback memory",
        "found": f"sha256:{memory('bb').root_of_trust}",
    }
    assert seen.load(APP) == memory("aa", timestamp=5)
    seen.forget(APP)
    seen.forget(APP)
    assert seen.load(APP) is None
    seen.remember(APP, memory("bb", timestamp=1))
    assert seen.load(APP) == memory("bb", timestamp=1)


def test_forgetting_one_keeps_the_others(seen: MemoryFile) -> None:
    seen.remember(APP, memory(timestamp=5))
    seen.remember(OTHER, memory(timestamp=6))
    seen.forget(APP)
    assert seen.load(OTHER) == memory(timestamp=6)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"format": "content-trust-seen-0", "collections": {}}',
        b'{"format": "content-trust-seen-1", "collections": []}',
        b'{"format": "content-trust-seen-1", "collections": {}, "collections": {}}',
        b'{"format": "content-trust-seen-1", "collections": {"registry.example.com/app": 5}}',
        b'{"format": "content-trust-seen-1", "collections": {"registry.example.com/app": {}}}',
    ],
)
def test_a_damaged_file_is_refused_named_and_left_as_it_is(seen: MemoryFile, path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(MemoryDamaged) as on_load:
        seen.load(APP)
    with pytest.raises(MemoryDamaged) as on_remember:
        seen.remember(APP, memory(timestamp=1))
    assert str(path) in str(on_load.value)
    assert str(path) in str(on_remember.value)
    assert path.read_bytes() == content


def test_a_memory_cut_at_any_byte_is_refused(seen: MemoryFile, path: Path) -> None:
    seen.remember(APP, memory(timestamp=5, targets=1))
    whole = path.read_bytes()
    for length in range(len(whole) - 1):  # the last byte is a line end
        path.write_bytes(whole[:length])
        with pytest.raises(MemoryDamaged):
            seen.load(APP)


def test_a_file_that_cannot_be_read_is_not_taken_for_an_absent_one(seen: MemoryFile, path: Path) -> None:
    """Nor for a damaged one, which somebody would remove: what is in it still counts."""
    path.mkdir(parents=True)
    with pytest.raises(MemoryUnreadable, match=r"memory .*seen\.json cannot be read: Is a directory") as caught:
        seen.load(APP)
    row = row_for(caught.value)
    assert row.status == exit_codes.NOT_TRUSTED
    assert "do not remove it" in row.advice(caught.value)


def test_a_home_that_cannot_be_written(seen: MemoryFile, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    seen.remember(APP, memory(timestamp=5))
    monkeypatch.setattr(os, "replace", read_only)
    with pytest.raises(MemoryUnwritable, match="Read-only") as caught:
        seen.remember(APP, memory(timestamp=6))
    assert caught.value.path == str(path)
    with pytest.raises(MemoryUnwritable):
        seen.forget(APP)
    assert seen.load(APP) == memory(timestamp=5)


def test_a_home_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "home").write_bytes(b"")
    with pytest.raises(MemoryUnwritable):
        MemoryFile(tmp_path / "home" / "seen.json").remember(APP, memory(timestamp=1))


_WRITER = """
import sys
from pathlib import Path
from tests.unit.cli_state.samples import OTHER, memory
from trustcli.state.memory import MemoryFile

seen = MemoryFile(Path(sys.argv[1]))
for n in range(5):
    seen.remember(OTHER, memory(**{f"r{sys.argv[2]}-{n}": 1}))
"""


def test_processes_at_the_same_time_lose_nothing_of_each_other(seen: MemoryFile, path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(path), str(n)]) for n in range(4)]
    assert [w.wait(60) for w in writers] == [0] * 4
    merged = seen.load(OTHER)
    assert merged is not None
    assert set(merged.roles) == {f"r{w}-{n}" for w in range(4) for n in range(5)}


# For N = 1, 2, ...: a process that dies by SIGKILL just before its N-th call of `os` while it writes pins and memory,
# in a home of its own, `<folder>/N`; until one lives. Forked from a driver, which imports everything once.
_DRIVER = """
import os, shutil, signal, sys
from pathlib import Path
from types import SimpleNamespace
from keys import durable_file
from tests.unit.cli_state.samples import ANOTHER, APP, memory
from trustcli.state.memory import MemoryFile
from trustcli.state.pins import PinsFile

folder, count, kill_at = Path(sys.argv[1]), 0, 0

def counted(name, real):
    def call(*arguments, **options):
        global count
        count += 1
        if count == kill_at:
            if name == "write":
                real(arguments[0], bytes(arguments[1])[:7])
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call

names = ("open", "fchmod", "write", "fsync", "close", "replace", "unlink")
real = {**{n: getattr(os, n) for n in names}, "fsync": lambda descriptor: None}  # a kill does not need the disk
durable_file.os = SimpleNamespace(**{**vars(os), **{n: counted(n, real[n]) for n in names}})
while True:
    kill_at += 1
    home = folder / str(kill_at)
    shutil.copytree(folder / "before", home)
    child = os.fork()
    if child == 0:
        MemoryFile(home / "seen.json").remember(APP, memory(timestamp=6))
        PinsFile(home / "pins.toml").replace(APP, ANOTHER)
        os._exit(0)
    end = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if end == 0:
        break
    assert end == -signal.SIGKILL, end
print(kill_at)
"""


def test_a_kill_at_any_point_loses_neither_pins_nor_memory(tmp_path: Path) -> None:
    MemoryFile(tmp_path / "before" / "seen.json").remember(APP, memory(timestamp=5))
    PinsFile(tmp_path / "before" / "pins.toml").record(APP, ENTRY)
    PinsFile(tmp_path / "before" / "pins.toml").record(OTHER, ENTRY)
    done = subprocess.run(
        [sys.executable, "-c", _DRIVER, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    points = int(done.stdout)
    assert points > 15, "the instrument was not reached"
    outcomes = []
    for point in range(1, points + 1):
        seen = MemoryFile(tmp_path / str(point) / "seen.json").load(APP)
        pins = PinsFile(tmp_path / str(point) / "pins.toml").load()
        assert seen in (memory(timestamp=5), memory(timestamp=6)), f"killed before call {point}"
        assert pins in ({APP: ENTRY, OTHER: ENTRY}, {APP: ANOTHER, OTHER: ENTRY}), f"killed before call {point}"
        outcomes.append((seen == memory(timestamp=6), pins[APP] == ANOTHER))
    assert outcomes[0] == (False, False)
    assert outcomes[-1] == (True, True)


def test_the_file_is_plain_json(seen: MemoryFile, path: Path) -> None:
    seen.remember(APP, memory(timestamp=5))
    document = json.loads(path.read_bytes())
    assert set(document) == {"format", "collections"}
    assert list(document["collections"]) == [APP]


def test_what_another_process_writes_counts_although_this_one_has_read_before(seen: MemoryFile, path: Path) -> None:
    """The file is parsed again only if it differs from what was read or written here."""
    seen.remember(APP, memory(timestamp=1))
    assert seen.load(APP) == memory(timestamp=1)
    MemoryFile(path).remember(APP, memory(timestamp=7))
    assert seen.load(APP) == memory(timestamp=7)
    seen.remember(OTHER, memory(timestamp=2))
    assert seen.load(APP) == MemoryFile(path).load(APP) == memory(timestamp=7)
    path.write_bytes(b"{")
    with pytest.raises(MemoryDamaged):
        seen.load(APP)


def test_a_write_that_fails_is_not_believed(seen: MemoryFile, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen.remember(APP, memory(timestamp=1))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("trustcli.state.guarded_file.write_durably", full)
        with pytest.raises(MemoryUnwritable):
            seen.remember(APP, memory(timestamp=7))
    assert seen.load(APP) == MemoryFile(path).load(APP) == memory(timestamp=1)
