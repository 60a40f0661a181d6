from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.oracle import LoopbackServer, loopback_server


@pytest.fixture
def web() -> Iterator[LoopbackServer]:
    """A web server on loopback for one test."""
    with loopback_server() as server:
        yield server
