"""The step of the tutorial that pulls, typed as it stands, with a real Docker engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.docker_engine import UnpackedDocker
from tests.support.guide_machine import Machine
from tests.support.guide_stories import WITH_THE_ENGINE
from tests.support.programs import program

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.mark.long
def test_the_tutorial_s_pull(tmp_path: Path, unpacked_docker: UnpackedDocker, engine: str) -> None:
    for needed in ("docker-registry", "skopeo", "curl"):
        program(needed)
    machine = Machine(tmp_path)
    machine.environ |= {"DOCKER_HOST": engine, "PATH": f"{unpacked_docker.docker.parent}:{machine.environ['PATH']}"}
    machine.install("content-trust")
    machine.type(WITH_THE_ENGINE.typed())
