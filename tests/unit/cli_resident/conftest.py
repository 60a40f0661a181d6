"""Both formats, and nodes whose threads end with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.simulator.client import Client
from tests.support.resident_node import ResidentNode
from trustcli.hooks.resident.limits import ResidentLimits
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF


@pytest.fixture(params=[TUF, NOTARY], ids=["tuf", "notary"])
def wire(request: pytest.FixtureRequest) -> WireFormat:
    found: WireFormat = request.param
    return found


@pytest.fixture
def node_of() -> Iterator[Callable[..., ResidentNode]]:
    made: list[ResidentNode] = []

    def make(*clients: Client, limits: ResidentLimits | None = None) -> ResidentNode:
        made.append(ResidentNode(*clients, limits=limits))
        return made[-1]

    yield make
    for node in made:
        node.close()
