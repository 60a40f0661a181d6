from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.proxy_stage import ProxyStage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[ProxyStage]:
    """The parts of a proxy, not running yet."""
    made = ProxyStage(folder=tmp_path / "reachable")
    yield made
    made.close()
