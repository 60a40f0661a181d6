"""What holds for every test: which worker runs it, no sockets unless talking is the purpose, nothing left running."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.support.docker_client import NEWER
from tests.support.leftovers import adopt_orphans, running_children
from tests.support.loaded_program import stop_loaders
from tests.support.open_databases import forgotten_databases, watch_databases

if TYPE_CHECKING:
    from tests.support.prepared_homes import PreparedHomes

# An example is no slower code because the machine is busy.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")

TALKING = ("tests/journeys/", "tests/differential/", "tests/conformance/", "tests/peers/")
"""Folders whose tests run servers and clients: loopback only. All others have no network at all."""
LOOPBACK = ["127.0.0.1", "::1"]

ENGINE, NOTARY_SERVER = "engine", "notary-server"
"""Groups of tests that share one costly program: Docker's engine; Debian's notary-server with PostgreSQL. One worker
runs a whole group, so each program is started once. Every other module is a group of its own."""
MEMBERS = {
    ENGINE: (
        "peers/test_docker_engine_trust.py",
        "peers/test_docker_plugin.py",
        "peers/test_engine_pull.py",
        "peers/test_engines_agree.py",
        "peers/test_guide_with_the_engine.py",
        "peers/test_hardware_root.py",
        "peers/test_hook_proxy_clients.py",
        "peers/test_hook_proxy_logins.py",
        "peers/test_hook_proxy_tls.py",
        "peers/test_life_of_a_collection.py",
        "peers/test_rotation_drill.py",
    ),
    NOTARY_SERVER: ("peers/test_guide_to_migration.py", "peers/test_migration.py"),
}
"""Modules of a group; tests of other modules are the notary-server's if it is one of their parameters."""
TRUST_IS_THE_CLIENT = (
    "peers/test_guide_to_migration.py",
    "peers/test_docker_plugin.py",
    "peers/test_migration.py",
    "peers/test_side_by_side.py",
    "peers/test_trust_on_notary.py",
)
"""Modules whose tests of Debian's notary-server tell something of our programs. Of the others they only prove the
case, which changes when Debian's package does: they are long."""
APART = "journeys/test_guides.py"
"""A module whose tests share nothing and are long: each of them is a group of its own."""
LONGEST_FIRST = (ENGINE, NOTARY_SERVER, APART, "peers", "journeys", "unit/server")
"""Groups and folders in the order in which they are handed out, so that two workers end at nearly the same time."""


def place_of(nodeid: str) -> str:
    """Name the file of a test, below tests/."""
    return nodeid.partition("::")[0].removeprefix(f"{Path(__file__).parent.name}/")


def runs_on_notary_server(nodeid: str) -> bool:
    """Tell whether Debian's notary-server is a parameter of a test, or all of its module is about it."""
    return place_of(nodeid) in MEMBERS[NOTARY_SERVER] or NOTARY_SERVER in nodeid.partition("[")[2]


def is_proven_elsewhere(nodeid: str) -> bool:
    """Tell whether a test of Debian's notary-server is left to `make test-long`: what our programs do there is tested
    with one docker.
    """
    at_theirs = runs_on_notary_server(nodeid)
    return at_theirs and (place_of(nodeid) not in TRUST_IS_THE_CLIENT or NEWER in nodeid)


def group_of(nodeid: str) -> str:
    """Name the group whose worker runs a test."""
    place = place_of(nodeid)
    if place in MEMBERS[ENGINE]:
        return ENGINE
    if place == APART:
        return f"{place}::{nodeid.partition('::')[2]}"
    return NOTARY_SERVER if runs_on_notary_server(nodeid) else place


def _rank(nodeid: str) -> int:
    group = group_of(nodeid)
    return next(
        (
            rank
            for rank, first in enumerate(LONGEST_FIRST)
            if group == first or group.startswith((f"{first}/", f"{first}::"))
        ),
        len(LONGEST_FIRST),
    )


class ByGroup(LoadScopeScheduling):  # type: ignore[misc] # xdist says nothing of its types
    """Give each worker whole groups. (xdist's own `loadgroup` finds no group under pytest 9.)"""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByGroup:
    return ByGroup(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if is_proven_elsewhere(item.nodeid):
            item.add_marker(pytest.mark.long)
        if item.nodeid.startswith(TALKING) and item.get_closest_marker("allow_hosts") is None:
            item.add_marker(pytest.mark.allow_hosts(LOOPBACK))
        if "engine" in getattr(item, "fixturenames", ()) and group_of(item.nodeid) != ENGINE:
            raise pytest.UsageError(f"{item.nodeid} needs the engine: its module belongs into MEMBERS of {__file__}")
    items.sort(key=lambda item: _rank(item.nodeid))


def pytest_configure() -> None:
    """Let Ctrl-C reach the programs that tests start, also where a shell has begun these tests in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Let the garbage collector look no more at the tests themselves: they stay, and there are thousands of them."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def no_database_left_open() -> Iterator[None]:
    """Fails a module that has forgotten an open SQLite connection, on any Python, naming the tests that opened it."""
    watch_databases()
    yield
    forgotten = forgotten_databases()
    assert not forgotten, f"opened a database and forgot to close it: {forgotten}"


@pytest.fixture(scope="session")
def prepared_homes(tmp_path_factory: pytest.TempPathFactory) -> PreparedHomes:
    from tests.support.prepared_homes import PreparedHomes  # it loads the programs, which most tests never need

    return PreparedHomes(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="session", autouse=True)
def no_process_left_behind() -> Iterator[None]:
    """Fails the run, naming what still runs when everything else has been taken down."""
    if not sys.platform.startswith("linux"):
        yield
        stop_loaders()
        return
    adopt_orphans()
    before = running_children()
    yield
    stop_loaders()
    left = {pid: command for pid, command in running_children().items() if pid not in before}
    assert not left, f"left running: {left}"
