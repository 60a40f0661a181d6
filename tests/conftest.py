"""What holds for every test: no sockets, except to loopback where talking is the purpose; nothing is left running."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.leftovers import adopt_orphans, running_children

TALKING = ("journeys", "differential", "conformance", "peers")
"""Folders whose tests run servers and clients: loopback only. All others have no network at all."""
LOOPBACK = ["127.0.0.1", "::1"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        if folder in TALKING and item.get_closest_marker("allow_hosts") is None:
            item.add_marker(pytest.mark.allow_hosts(LOOPBACK))


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
