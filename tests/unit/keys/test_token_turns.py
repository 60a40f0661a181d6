"""One process after the other at a token, and no process for ever."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from keys.pkcs11.turns import turn


def free(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "module.so"
    path.write_bytes(b"")
    path.chmod(0o444)
    return path


def test_a_turn_excludes_others_until_it_ends(file: Path) -> None:
    with turn(str(file)):
        assert not free(file)
    assert free(file)


def test_who_has_it_is_waited_for(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = os.open(file, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    monkeypatch.setattr("time.sleep", lambda _: os.close(other))
    with turn(str(file)):
        assert not free(file)


def test_nobody_is_waited_for_for_ever(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = os.open(file, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    with turn(str(file)):
        pass
    assert sum(pauses) == pytest.approx(3, abs=0.1)
    assert not free(file)
    os.close(other)


def test_a_library_that_is_not_there_is_told_by_who_loads_it(tmp_path: Path) -> None:
    with turn(str(tmp_path / "none.so")):
        assert list(tmp_path.iterdir()) == []
