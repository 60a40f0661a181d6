"""Every command of the guides, typed in order on a fresh machine: it succeeds, and prints what is shown there."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.support.building import SOURCE, copy_of_the_source, fetched_wheels
from tests.support.guide_machine import Machine
from tests.support.guide_stories import INSTALLED, STORIES, WITH_DETOURS, Story
from tests.support.programs import program

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def _machine(folder: Path, story: Story) -> Machine:
    for needed in ("docker-registry", "skopeo", "curl", "sqlite3", "openssl", *story.needs):
        program(needed)
    machine = Machine(folder / "machine", there=story.there)
    machine.environ |= story.environ
    machine.program("late-server", "tests.journeys.late_server")
    machine.program("ci-platforms", "tests.journeys.ci_platforms")
    return machine


DOORS = ("containerd", "docker-plugin", "agent", "proxy", "kubernetes", "distribute-policy")
OFTEN = ("readme", "ci", *DOORS)
"""What `make test` types: the second begins with steps 1 to 7 of the tutorial. `make test-long` types the others."""


@pytest.mark.parametrize(
    "name", [name if name in OFTEN else pytest.param(name, marks=pytest.mark.long) for name in STORIES]
)
def test_what_the_guides_let_their_reader_type(name: str, tmp_path: Path) -> None:
    machine = _machine(tmp_path, STORIES[name])
    machine.install(STORIES[name].programs)
    machine.type(STORIES[name].typed())


@pytest.mark.long
def test_the_tutorial_goes_on_after_its_detours(tmp_path: Path) -> None:
    machine = _machine(tmp_path, WITH_DETOURS)
    machine.install(WITH_DETOURS.programs)
    machine.type(WITH_DETOURS.typed())


@pytest.mark.long
@pytest.mark.parametrize("name", INSTALLED)
def test_what_they_let_their_reader_install(name: str, tmp_path: Path) -> None:
    source = copy_of_the_source(tmp_path / "source")
    shutil.copy(SOURCE / "install.sh", source)
    machine = _machine(tmp_path, INSTALLED[name])
    machine.install("tools")
    machine.environ |= {
        "SOURCE": str(source),
        "PYTHON": sys._base_executable,  # type: ignore[attr-defined]
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(fetched_wheels()),
    }
    machine.type(INSTALLED[name].typed())
