from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.hostile import own_server, serve
from tests.support.programs import RunningProgram, start_registry
from tests.support.stage import begun, gun, owner, people, put, shared_registry, trust_server

__all__ = [
    "begun",
    "gun",
    "own_server",
    "owner",
    "password_registry",
    "people",
    "put",
    "registry",
    "serve",
    "shared_registry",
    "trust_server",
]


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
