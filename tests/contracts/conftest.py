"""The implementations of ports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulator.memory_store import MemoryStore
from trustserver.storage.database import migrate, open_engine
from trustserver.storage.ports import MetadataStore
from trustserver.storage.sql import SqlStore


@pytest.fixture(params=["sql", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MetadataStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    engine = open_engine(f"sqlite:///{tmp_path / 'trust.db'}")
    migrate(engine)
    opened = SqlStore(engine)
    yield opened
    opened.close()
