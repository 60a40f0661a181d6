"""trust.lock: the same entries give the same bytes; damage is refused with its line, and never passed over."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.record import replace
from tests.unit.cli_state.lock_samples import FIRST, SECOND
from tests.unit.cli_state.samples import APP, OTHER
from trustcli.state.lockfile import MAX_LOCK_FILE, LockFile
from trustdata.errors import LockDamaged, NotStored
from trustdata.gun import GUN
from trustdata.verification.lock_document import write_lock
from trustdata.verification.lock_entry import LockEntry
from trustdata.verification.trust_pinning import Pin

GOLDEN: Final = f"""\
# What this project has verified. Written by `trust lock` alone: commit it, do not edit it.

format = "content-trust-lock-1"

[collections."docker.io/library/alpine"]
format = "tuf-1.0"
root-version = 1
root = "sha256:{"cd" * 32}"

[collections."docker.io/library/alpine".minimum]
timestamp = 1
snapshot = 1
targets = 1

[collections."registry.example.com/app"]
format = "tuf-1.0"
root-version = 2
root = "sha256:{"ab" * 32}"

[collections."registry.example.com/app".minimum]
timestamp = 8
snapshot = 7
targets = 4
"targets/alice" = 1
"targets/releases" = 3
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trust.lock"


def _write(path: Path, text: str) -> LockFile:
    path.write_text(text)
    return LockFile(path)


def _damage(path: Path, text: str | bytes) -> LockDamaged:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(LockDamaged) as caught:
        LockFile(path).load()
    assert caught.value.path == str(path)
    return caught.value


# --- what is written


def test_golden() -> None:
    assert write_lock({APP: FIRST, OTHER: SECOND}).decode() == GOLDEN
    assert write_lock({OTHER: SECOND, APP: FIRST}).decode() == GOLDEN


def test_what_is_written_is_read_and_everybody_may(path: Path) -> None:
    file = LockFile(path)
    assert file.load() is None
    file.replace({APP: FIRST, OTHER: SECOND})
    assert path.stat().st_mode & 0o7777 == 0o644
    assert [name.name for name in path.parent.iterdir()] == ["trust.lock"]
    there = LockFile(path).load()
    assert there == {APP: FIRST, OTHER: SECOND}
    assert list(there) == [OTHER, APP]
    file.replace({})
    assert LockFile(path).load() == {}


_GUNS = st.sampled_from(["docker.io/library/alpine", "127.0.0.1:5000/a/b", "[::1]:80/x", "a-b.example/c_d"])
_ROLES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=9).filter(lambda r: r != "root")
_ENTRIES = st.builds(
    lambda version, digit, roles: replace(
        SECOND, root_version=version, root=Pin("sha256", digit * 64), minimum={**SECOND.minimum, **roles}
    ),
    st.integers(1, 2**53),
    st.sampled_from("0123456789abcdef"),
    st.dictionaries(_ROLES, st.integers(1, 2**53), max_size=5),
)


@given(st.dictionaries(_GUNS, _ENTRIES))
def test_whatever_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, entries: dict[GUN, LockEntry]) -> None:
    path = tmp_path_factory.mktemp("lock") / "trust.lock"
    path.write_bytes(write_lock(entries))
    assert LockFile(path).load() == entries


def test_line_ends_that_version_control_has_changed(path: Path) -> None:
    assert _write(path, GOLDEN.replace("\n", "\r\n")).load() == {APP: FIRST, OTHER: SECOND}


def test_a_file_that_was_changed_meanwhile_is_left(path: Path) -> None:
    file = _write(path, GOLDEN)
    file.load()
    path.write_text(GOLDEN + "\n")
    with pytest.raises(NotStored, match="was changed meanwhile"):
        file.replace({})
    assert path.read_text() == GOLDEN + "\n"
    new = LockFile(path.with_name("new.lock"))
    new.load()
    new.path.write_text(GOLDEN)
    with pytest.raises(NotStored):
        new.replace({})


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    file = LockFile(tmp_path / "no" / "trust.lock")
    assert file.load() is None
    with pytest.raises(NotStored, match="cannot be written") as caught:
        file.replace({APP: FIRST})
    assert isinstance(caught.value.__cause__, FileNotFoundError)  # a sentence is cut, and paths may be long


# --- what is read


def test_no_toml_with_its_line(path: Path) -> None:
    merging = GOLDEN.replace("targets = 4\n", "<<<<<<< ours\ntargets = 4\n=======\ntargets = 5\n>>>>>>> theirs\n")
    assert _damage(path, merging).line == 1 + merging[: merging.index("<<<")].count("\n")
    assert _damage(path, GOLDEN[: GOLDEN.index(f"sha256:{'ab' * 32}") + 9]).line == 18
    assert _damage(path, GOLDEN.encode() + b"\xff\n").line == GOLDEN.count("\n") + 1
    assert "is not TOML" in str(_damage(path, "x = " + "[" * 100_000))


@pytest.mark.parametrize("text", ["", "# nothing\n", 'format = "content-trust-lock-02"\n', "format = 1\n", "[pins]\n"])
def test_another_format(path: Path, text: str) -> None:
    assert "is not of format content-trust-lock-1" in str(_damage(path, text))


@pytest.mark.parametrize(
    ("before", "after", "line", "reason"),
    [
        ("content-trust-lock-1", "content-trust-lock-x", 3, "is no lock file"),
        ('format = "content', 'name = 1\nformat = "content', 3, "name is no member"),
        ("root-version = 2", "root-version = 0", 17, "root-version must be an integer of 1 or more"),
        ("root-version = 2", "root-version = true", 17, "root-version"),
        ("root-version = 2", "root-version = 2.0", 17, "root-version"),
        (f'"sha256:{"ab" * 32}"', '"sha256:ab"', 18, "sha256:HEX"),
        (f'"sha256:{"ab" * 32}"', f'"key:{"ab" * 32}"', 18, "of a root file"),
        (f'"sha256:{"ab" * 32}"', "7", 18, "sha256:HEX"),
        ("timestamp = 8", "timestamp = -8", 21, "timestamp must be"),
        ('"targets/alice" = 1', '"targets/alice" = "1"', 24, "targets/alice must be"),
        ("timestamp = 8\n", "", 20, "timestamp is missing"),
        ("timestamp = 8", "timestamp = 8\nroot = 1", 22, "root has a root-version"),
        ("timestamp = 8", 'timestamp = 8\n"" = 1', 20, "role"),
        ("root-version = 2\n", "", 15, "must have format, minimum, root, root-version"),
        ("root-version = 2\n", "root-version = 2\nmore = 1\n", 15, "and nothing else"),
        ('app"]\nformat = "tuf-1.0"', 'app"]\nformat = "tuf-9"', 16, "tuf-1.0, notary-v1"),
        ('"registry.example.com/app"', '"registry.example.com/App"', 15, "must be lower-case"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(path: Path, before: str, after: str, line: int, reason: str) -> None:
    assert before in GOLDEN
    error = _damage(path, GOLDEN.replace(before, after))
    assert (error.line, reason in error.reason) == (line, True), error
    assert f"{path}, line {line}, cannot be used" in str(error)


@pytest.mark.parametrize(
    "text", ["collections = 1", "collections.x = 1", 'collections."a/b".minimum = 1', '[[collections."a/b"]]']
)
def test_other_shapes(path: Path, text: str) -> None:
    _damage(path, f'format = "content-trust-lock-1"\n{text}\n')


def test_minimum_must_be_a_table(path: Path) -> None:
    text = GOLDEN[: GOLDEN.rindex("[")] + "minimum = 3\n"
    assert _damage(path, text).line == 20


def test_what_cannot_be_read(path: Path) -> None:
    path.mkdir()
    with pytest.raises(LockDamaged, match="Is a directory"):
        LockFile(path).load()
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(LockDamaged, match="is no file"):
        LockFile(path).load()
    path.unlink()
    with path.open("wb") as file:
        file.truncate(MAX_LOCK_FILE + 1)
    with pytest.raises(LockDamaged, match="larger than"):
        LockFile(path).load()
