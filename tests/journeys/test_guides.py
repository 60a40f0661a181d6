"""Every command of the guides, typed in order on a fresh machine: it succeeds, and prints what is shown there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.guide_machine import Machine
from tests.support.guide_stories import STORIES
from tests.support.programs import program

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.mark.parametrize("name", STORIES)
def test_guides(name: str, tmp_path: Path) -> None:
    for needed in ("docker-registry", "skopeo", "curl", "sqlite3"):
        program(needed)
    story = STORIES[name]
    machine = Machine(tmp_path)
    machine.environ |= story.environ
    machine.install("content-trust")
    machine.type(story.typed(), before=story.before)
