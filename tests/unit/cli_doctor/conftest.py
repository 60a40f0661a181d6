from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Authority, make_authority
from tests.unit.cli_doctor.situations import World


@pytest.fixture
def world(tmp_path: Path, authority: Authority) -> Iterator[World]:
    """The places of one situation; its servers are stopped at the end."""
    made = World(tmp_path, authority)
    yield made
    for server in made.started:
        server.stop()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A private CA."""
    return make_authority(tmp_path_factory.mktemp("ca"))
