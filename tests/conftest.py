"""What holds for every test: which worker runs it, no sockets unless talking is the purpose, nothing left running."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.leftovers import adopt_orphans, running_children

TALKING = ("journeys", "differential", "conformance", "peers")
"""Folders whose tests run servers and clients: loopback only. All others have no network at all."""
LOOPBACK = ["127.0.0.1", "::1"]

ENGINE, NOTARY_SERVER = "engine", "notary-server"
"""Groups of tests that share one costly program: Docker's engine; Debian's notary-server with PostgreSQL. One worker
runs a whole group, so each program is started once. Every other module is a group of its own."""
LONGEST_FIRST = (ENGINE, NOTARY_SERVER, "peers", "journeys", "unit/server")
"""Groups and folders in the order in which they are handed out, so that two workers end at nearly the same time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {item: item.path.relative_to(Path(__file__).parent).as_posix() for item in items}
    for item, place in places.items():
        if place.startswith(TALKING) and item.get_closest_marker("allow_hosts") is None:
            item.add_marker(pytest.mark.allow_hosts(LOOPBACK))
        item.add_marker(pytest.mark.xdist_group(group_of(item, place)))
    items.sort(key=lambda item: _rank(places[item], group_of(item, places[item])))


def group_of(item: pytest.Item, place: str) -> str:
    """Name the group whose worker runs the test; `place`: its file below tests/."""
    fixtures = set(getattr(item, "fixturenames", ()))
    given = getattr(item, "callspec", None)
    if "engine" in fixtures:
        return ENGINE
    if "stack" in fixtures or any(NOTARY_SERVER in str(value) for value in (given.params.values() if given else ())):
        return NOTARY_SERVER
    return place


def _rank(place: str, group: str) -> int:
    return next(
        (rank for rank, first in enumerate(LONGEST_FIRST) if group == first or group.startswith(f"{first}/")),
        len(LONGEST_FIRST),
    )


def pytest_collection_finish() -> None:
    """What is there before the first test stays: later collections of garbage need not look through it."""
    gc.collect()
    gc.freeze()


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
