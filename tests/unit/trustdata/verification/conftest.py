"""Rules are tested in both formats."""

from __future__ import annotations

import pytest

from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS


@pytest.fixture(params=FORMATS.values(), ids=list(FORMATS))
def wire(request: pytest.FixtureRequest) -> WireFormat:
    """Each wire format."""
    found: WireFormat = request.param
    return found
