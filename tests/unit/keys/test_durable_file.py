"""`write_durably` at every point at which a process can be killed, and what it does when the disk refuses."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from keys import durable_file
from keys.durable_file import file_lock, make_private_folder, sync_folder, write_atomically, write_durably

OLD, NEW = b"old content", b"new content " * 1000

# A child that counts the calls of `os` that durable_file makes, and dies by SIGKILL just before the N-th; one write in
# two is cut in half first, as a full pipe or disk would cut it.
_CHILD = """
import os, signal, sys
from pathlib import Path
from types import SimpleNamespace
from keys import durable_file

kill_at, path, replace, data = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "True", b"new content " * 1000
count = 0

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

names = ("open", "fchmod", "write", "fsync", "close", "replace", "link", "unlink")
real = {**{n: getattr(os, n) for n in names}, "fsync": lambda descriptor: None}  # a kill does not need the disk
instrumented = {n: counted(n, real[n]) for n in names}
durable_file.os = SimpleNamespace(**{**vars(os), **instrumented})
durable_file.write_durably(path, data, replace=replace)
print(count)
"""


def _killed_at(point: int, path: Path, *, replace: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _CHILD, str(point), str(path), str(replace)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _points(path: Path, *, replace: bool = True) -> int:
    whole = _killed_at(0, path, replace=replace)
    assert whole.returncode == 0, whole.stderr
    path.unlink()
    return int(whole.stdout)


def test_a_kill_at_any_point_leaves_the_old_content_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "file"
    seen = []
    for point in range(1, _points(path) + 1):
        path.write_bytes(OLD)
        assert _killed_at(point, path).returncode == -signal.SIGKILL
        seen.append(path.read_bytes())
        assert seen[-1] in {OLD, NEW}, f"killed before call {point}"
        write_durably(path, NEW)  # what the crash left is in nobody's way
        assert path.read_bytes() == NEW
    assert seen[0] == OLD
    assert seen[-1] == NEW, "the instrument did not reach the calls after the rename"


def test_a_kill_at_any_point_leaves_a_new_file_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for point in range(1, _points(path, replace=False) + 1):
        assert _killed_at(point, path, replace=False).returncode == -signal.SIGKILL
        assert not path.exists() or path.read_bytes() == NEW, f"killed before call {point}"
        path.unlink(missing_ok=True)


def test_content_and_folder_are_synced_before_and_after_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def counted_fsync(descriptor: int) -> None:
        done.append("fsync")
        fsync(descriptor)

    def counted_replace(source: Path, target: Path) -> None:
        done.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", counted_fsync)
    monkeypatch.setattr(os, "replace", counted_replace)
    write_durably(tmp_path / "file", NEW)
    assert done == ["fsync", "replace", "fsync"]


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_the_mode_is_exact_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    path.chmod(0o666)
    before = os.umask(0o077)
    try:
        write_durably(path, NEW, mode=mode)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o7777 == mode


def test_nobody_else_can_open_it_before_it_has_its_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine, modes = os.fchmod, list[int]()

    def seen(descriptor: int, mode: int) -> None:
        modes.append(os.fstat(descriptor).st_mode & 0o777)
        genuine(descriptor, mode)

    monkeypatch.setattr(os, "fchmod", seen)
    before = os.umask(0)
    try:
        write_durably(tmp_path / "file", NEW)
    finally:
        os.umask(before)
    assert modes == [0o600]


def test_never_overwrites_when_told_so(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    with pytest.raises(FileExistsError):
        write_durably(path, NEW, replace=False)
    assert path.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_where_there_are_no_hard_links_it_still_never_overwrites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    path = tmp_path / "file"
    reserved: list[tuple[bytes, int]] = []
    replace = os.replace

    def seen(source: Path, target: Path) -> None:
        reserved.append((path.read_bytes(), path.stat().st_mode & 0o777))
        replace(source, target)

    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(os, "replace", seen)
    write_durably(path, NEW, replace=False)
    assert reserved == [(b"", 0o600)], "the name is not reserved, or for others too"
    assert path.read_bytes() == NEW
    with pytest.raises(FileExistsError):
        write_durably(path, OLD, replace=False)
    assert path.read_bytes() == NEW
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["write", "fsync", "fchmod", "replace"])
def test_a_disk_that_refuses_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "file"
    path.write_bytes(OLD)
    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space"):
        write_durably(path, NEW)
    monkeypatch.undo()
    assert path.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_takes_only_a_part_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:100]))
    write_durably(tmp_path / "file", NEW)
    assert (tmp_path / "file").read_bytes() == NEW


def test_what_is_no_folder_is_not_synced(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        sync_folder(tmp_path / "file")


def test_folders_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "a" / "b")
    make_private_folder(tmp_path / "a" / "b")
    assert {(tmp_path / "a").stat().st_mode & 0o777, (tmp_path / "a" / "b").stat().st_mode & 0o777} == {0o700}
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError) as caught:
        make_private_folder(tmp_path / "file")
    error = caught.value
    assert (error.errno, error.strerror, error.filename) == (20, "Not a directory", str(tmp_path / "file"))


def test_each_folder_that_is_made_is_synced_into_the_one_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(durable_file, "sync_folder", synced.append)
    make_private_folder(tmp_path / "a" / "b")
    assert synced == [tmp_path, tmp_path / "a"]


def test_a_folder_that_another_process_has_just_made_is_as_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = os.mkdir

    def later(path: Path, mode: int) -> None:
        genuine(path, mode)
        genuine(path, mode)

    monkeypatch.setattr(os, "mkdir", later)
    make_private_folder(tmp_path / "a")
    assert (tmp_path / "a").is_dir()


def test_the_lock_lets_one_in_at_a_time(tmp_path: Path) -> None:
    def try_lock() -> None:
        with (tmp_path / ".file.lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    with file_lock(tmp_path / "file"), pytest.raises(BlockingIOError):
        try_lock()
    try_lock()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from keys.durable_file import file_lock\n"
        "with file_lock(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "file")], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    with file_lock(tmp_path / "file"):
        pass


def test_the_lock_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    with file_lock(tmp_path / "file"):
        pass
    assert (tmp_path / ".file.lock").stat().st_mode & 0o777 == 0o600


def test_what_may_be_lost_is_written_whole_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No sync, but a reader finds the old content or the new, and nothing is left beside it."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    path = tmp_path / "cached"
    for content in (b"old", b"new and longer"):
        write_atomically(path, content, mode=0o640)
        assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]
    assert synced == []
    write_atomically(path, b"for its owner alone, unless told otherwise")
    assert path.stat().st_mode & 0o777 == 0o600
