"""What the tests of the installation share: wheels that `make test` has fetched, empty homes, what was built."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.building import copy_of_the_source, fetched_wheels, make_packages


@pytest.fixture(scope="session")
def locked_wheels() -> Path:
    """The folder of the wheels that the lock files name."""
    return fetched_wheels()


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody with an empty home, no settings and no package index."""
    home = tmp_path / "home"
    home.mkdir()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    return {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(temporary), "PIP_NO_INDEX": "1"}


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make packages` makes."""
    source = copy_of_the_source(tmp_path_factory.mktemp("dist") / "source")
    return make_packages(source, {"PATH": os.environ["PATH"]})
