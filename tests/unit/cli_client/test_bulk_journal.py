"""The journal of a bulk run: what it keeps, what a kill in the middle of a line leaves, and one run at a time."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trustcli.errors import BulkRunning, FileExposed, MemoryUnwritable, SettingsUnusable
from trustcli.publish.bulk.journal import Journal, RunLock, RunOf
from trustcli.publish.bulk.work import Begun
from trustdata.gun import parse_gun

A, B, C = (parse_gun(f"registry.example.com/{letter}") for letter in "abc")
AT = datetime(2026, 12, 1, 3, 4, 5, tzinfo=UTC)
BEGUN = Begun(made={"targets": "11" * 32}, before=("22" * 32,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    place = tmp_path / "bulk"
    place.mkdir(mode=0o700)
    return place


def run(*names: str, what: str = "key rotate root", later: timedelta = timedelta(), key: str = "") -> RunOf:
    return RunOf.of(what, {"key": key}, map(parse_gun, names or (A, B)), at=AT + later)


def written(folder: Path) -> Journal:
    journal = Journal.opened(folder, run())
    journal.share("root", "33" * 32)
    journal.begin(A, BEGUN)
    journal.end(A, "done")
    journal.end(B, "failed")
    return journal


@pytest.mark.parametrize("later", [timedelta(), timedelta(hours=23), -timedelta(hours=23)])
def test_the_same_command_goes_on(folder: Path, later: timedelta) -> None:
    """Also when the clock was set back in between."""
    path = written(folder).path
    assert path.stat().st_mode & 0o777 == 0o600
    again = Journal.opened(folder, run(later=later))
    assert (again.path, again.run.begun, again.found) == (path, AT, 1)
    assert (again.shared("root"), again.begun(A), again.begun(B)) == ("33" * 32, BEGUN, None)


@pytest.mark.parametrize(
    "other",
    [
        run(A, B, C),
        run(what="key rotate targets"),
        run(key="0123"),
        run(later=timedelta(days=1, seconds=1)),
        run(later=-timedelta(days=1, seconds=1)),
    ],
    ids=["more names", "another command", "another option", "another day", "the clock was far ahead"],
)
def test_any_other_begins_anew(folder: Path, other: RunOf) -> None:
    path = written(folder).path
    new = Journal.opened(folder, other)
    assert (new.path != path, new.found, new.shared("root"), new.begun(A)) == (True, 0, "", None)
    assert path.exists() == (other.begun - AT <= timedelta(days=1)), "one that is over is removed"


def test_one_with_some_of_the_names_goes_on(folder: Path) -> None:
    journal = written(folder)
    assert Journal.opened(folder, run(B)).path == journal.path


def test_it_is_removed_when_every_name_has_ended_well(folder: Path) -> None:
    journal = written(folder)
    assert not journal.close()
    journal.end(B, "nothing to do")
    assert journal.close()
    assert not journal.path.exists()


def test_a_line_that_was_cut_off_was_not_written(folder: Path) -> None:
    """Wherever the kill cuts: what is read is a beginning of what was written, and what follows is whole again."""
    path = written(folder).path
    content = path.read_bytes()
    first = content.index(b"\n") + 1
    for length in range(first, len(content) + 1):
        path.write_bytes(content[:length])
        again = Journal.opened(folder, run())
        lines = content[:length].count(b"\n")
        assert bool(again.shared("root")) == (lines >= 2)
        assert (again.begun(A) is not None, again.found) == (lines >= 3, int(lines >= 4))
        again.end(A, "nothing to do")
        assert Journal.opened(folder, run()).found == 1
        assert all(json.loads(line) for line in path.read_bytes().splitlines())


@pytest.mark.parametrize(
    "line",
    [
        "no JSON",
        "[]",
        "{}",
        '{"end": "registry.example.com/a"}',
        '{"end": "registry.example.com/a", "state": "perhaps"}',
        '{"end": "No Name", "state": "done"}',
        '{"begin": "registry.example.com/a", "made": [], "before": []}',
        '{"begin": "registry.example.com/a", "made": {"x": 1}, "before": []}',
        '{"begin": "registry.example.com/a", "made": {}, "before": [1]}',
        '{"share": "root", "key": null}',
    ],
)
@pytest.mark.parametrize("first", [False, True])
def test_a_damaged_one_is_refused_by_name(*, folder: Path, line: str, first: bool) -> None:
    path = written(folder).path
    before = b"" if first else path.read_bytes()
    path.write_bytes(before + line.encode() + b"\n")
    with pytest.raises(SettingsUnusable, match=r"\.journal cannot be used: is damaged; remove it"):
        Journal.opened(folder, run())
    assert path.read_bytes().endswith(line.encode() + b"\n")


def test_one_that_others_may_change_is_refused(folder: Path) -> None:
    journal = written(folder)
    journal.path.chmod(0o666)
    with pytest.raises(FileExposed):
        Journal.opened(folder, run())
    with pytest.raises(FileExposed):
        journal.end(B, "done")


def test_a_line_that_the_disk_had_no_room_for_damages_nothing(folder: Path) -> None:
    journal = written(folder)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.path.stat().st_size + 20, before[1]))
    try:
        with pytest.raises(MemoryUnwritable, match="No space left on device"):
            journal.begin(B, BEGUN)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    journal.share("targets", "44" * 32)
    again = Journal.opened(folder, run())
    assert (again.begun(A), again.begun(B), again.shared("targets")) == (BEGUN, None, "44" * 32)


def test_one_that_cannot_be_written_is_told(folder: Path) -> None:
    journal = written(folder)
    journal.path.unlink()
    with pytest.raises(MemoryUnwritable):
        journal.begin(B, BEGUN)
    assert journal.begun(B) is None, "what is not written down is not known"
    with pytest.raises(MemoryUnwritable):
        journal.share("targets", "44" * 32)
    journal.end(A, "done")  # is so already


@pytest.fixture
def held(folder: Path) -> Iterator[RunLock]:
    lock = RunLock(folder, run())
    yield lock
    lock.release()


def test_a_second_run_is_refused_by_name(folder: Path, held: RunLock) -> None:
    del held
    with pytest.raises(BulkRunning) as caught:
        RunLock(folder, run(what="signer remove"))
    assert caught.value.what == "key rotate root"
    assert "trust key rotate root, begun at 2026-12-01T03:04:05Z (process " in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b'{"what": 1}', b"[]", b'{"what": "x", "begun": "y", "process": "z"}'])
def test_whoever_holds_it_need_not_have_said_yet_what_it_is(folder: Path, held: RunLock, content: bytes) -> None:
    del held
    (folder / ".running").write_bytes(content)
    with pytest.raises(BulkRunning, match="another run over many collections is at work here"):
        RunLock(folder, run())


def test_the_next_run_begins_when_the_lock_is_free(folder: Path) -> None:
    RunLock(folder, run()).release()
    RunLock(folder, run(what="signer remove")).release()


def test_a_lock_behind_a_link_is_not_taken(folder: Path) -> None:
    (folder / ".running").symlink_to(folder.parent / "elsewhere")
    with pytest.raises(MemoryUnwritable):
        RunLock(folder, run())
    assert not (folder.parent / "elsewhere").exists()
