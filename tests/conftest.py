"""What holds for every test: nothing is left running at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.peers.leftovers import adopt_orphans, running_children


@pytest.fixture(scope="session", autouse=True)
def no_process_left_behind() -> Iterator[None]:
    """Fails the run, naming what still runs when everything else has been taken down."""
    if not sys.platform.startswith("linux"):
        yield
        return
    adopt_orphans()
    before = running_children()
    yield
    left = {pid: command for pid, command in running_children().items() if pid not in before}
    assert not left, f"left running: {left}"
