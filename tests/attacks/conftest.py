"""Rules are tested in both formats, and uploads before both judges: the server's own, and the process beside it."""

from __future__ import annotations

import pytest

from tests.support.judged_apart import judge_both_ways
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS


@pytest.fixture(params=FORMATS.values(), ids=list(FORMATS))
def wire(request: pytest.FixtureRequest) -> WireFormat:
    """Each wire format."""
    found: WireFormat = request.param
    return found


@pytest.fixture(autouse=True)
def both_judges(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a module of this folder has judged as an upload, both judges say the same of it."""
    if hasattr(request.module, "judge_upload"):
        monkeypatch.setattr(request.module, "judge_upload", judge_both_ways)
