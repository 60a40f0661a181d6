"""Rollback memory that is stored for many collections at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from trustcli.state.gathered_memory import GatheredMemory
from trustcli.state.memory import MemoryFile
from trustdata.errors import RootNotPinned
from trustdata.gun import GUN, parse_gun
from trustdata.verification.rollback_memory import Memory

A, B, C = (parse_gun(f"registry.example.com/team/{letter}") for letter in "abc")


@pytest.fixture
def file(tmp_path: Path) -> MemoryFile:
    tmp_path.chmod(0o700)
    return MemoryFile(tmp_path / "seen.json")


def known(file: MemoryFile) -> list[GUN]:
    return file.names()


def memory(root_of_trust: str = "aa" * 32) -> Memory:
    return Memory(root_of_trust=root_of_trust, roles={})


def test_it_is_stored_in_one_write(file: MemoryFile) -> None:
    gathered = GatheredMemory(file)
    for name in (A, B):
        gathered.remember(name, memory())
        assert gathered.load(name) == memory(), "what this run has verified counts for it at once"
    assert (known(file), gathered.load(C)) == ([], None)
    gathered.store()
    assert known(file) == [A, B]
    assert gathered.load(A) == file.load(A) == memory()


def test_not_too_much_comes_together(file: MemoryFile) -> None:
    gathered = GatheredMemory(file, most=2)
    gathered.remember(A, memory())
    gathered.remember(B, memory())
    assert known(file) == [A, B]


def test_another_root_of_trust_is_refused_at_once(file: MemoryFile) -> None:
    file.remember(A, memory())
    gathered = GatheredMemory(file)
    with pytest.raises(RootNotPinned):
        gathered.remember(A, memory("bb" * 32))
    gathered.remember(B, memory())
    gathered.store()
    assert (file.load(A), known(file)) == (memory(), [A, B])


def test_what_another_process_has_stored_meanwhile_is_kept(file: MemoryFile) -> None:
    gathered = GatheredMemory(file)
    gathered.remember(A, memory())
    file.remember(B, memory())
    file.remember(C, memory())
    gathered.forget(C)
    gathered.store()
    assert known(file) == [A, B]


def test_one_that_is_refused_when_it_is_stored_keeps_all_from_being_stored(file: MemoryFile) -> None:
    """Between two looks somebody has verified another root of trust: nothing of this run counts then."""
    gathered = GatheredMemory(file)
    gathered.remember(A, memory())
    gathered.remember(B, memory())
    file.remember(A, memory("bb" * 32))
    with pytest.raises(RootNotPinned):
        gathered.store()
    assert known(file) == [A]
