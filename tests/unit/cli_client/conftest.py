"""What the tests of commands share."""

from __future__ import annotations

import pytest

from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS


@pytest.fixture(params=FORMATS.values(), ids=list(FORMATS))
def wire(request: pytest.FixtureRequest) -> WireFormat:
    """Both formats, each in a test of its own."""
    return request.param  # type: ignore[no-any-return]
