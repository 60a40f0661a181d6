from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.programs import RunningProgram, start_registry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RunningProgram]:
    """An open registry over plain HTTP."""
    with start_registry(tmp_path / "registry") as running_registry:
        yield running_registry


@pytest.fixture
def password_registry(tmp_path: Path) -> Iterator[RunningProgram]:
    """A registry that lets only USER in."""
    with start_registry(tmp_path / "password-registry", password=True) as running_registry:
        yield running_registry
