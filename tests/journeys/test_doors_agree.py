"""One image, one verdict: every door says of every image in the table what the table says, in both formats.

The doors are real programs with memories of their own. All see the collections first as they were, and are asked again
once somebody has revoked, rolled back or taken down what the table says; what stays was restarted meanwhile, as nodes
are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.asked_doors import Doors, check
from tests.support.door_cases import (
    ADMISSION,
    AGENT,
    CASES,
    CLI,
    CONTAINERD,
    DOCKER,
    DOORS,
    PROXY,
    SKOPEO,
    WITH_AGENT,
    Case,
)
from tests.support.doors import (
    Agent,
    CommandLine,
    DockerPlugin,
    Door,
    Files,
    Proxy,
    Skopeo,
    Verifier,
    Webhook,
)
from trustdata.wire.format_names import FORMAT_NAMES

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def open_doors(folder: Path, files: Files, upstream: str) -> Mapping[str, Door]:
    """All that need no engine."""
    agent = Agent(folder / AGENT, files)
    proxy = Proxy(folder / PROXY, files, upstream=upstream)
    return {
        CLI: CommandLine(folder / CLI, files),
        AGENT: agent,
        DOCKER: DockerPlugin(folder / DOCKER, files),
        CONTAINERD: Verifier(folder / CONTAINERD, files),
        WITH_AGENT: Verifier(folder / "with-agent", files, agent=agent),
        PROXY: proxy,
        SKOPEO: Skopeo(proxy),
        ADMISSION: Webhook(folder / ADMISSION, files),
    }


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    found = Doors(tmp_path_factory.mktemp("doors"), open_doors)
    try:
        found.begin()
        yield found
    finally:
        found.stop()


@pytest.mark.parametrize("form", FORMAT_NAMES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("door", DOORS)
def test_every_door_says_the_same(doors: Doors, door: str, case: Case, form: str) -> None:
    check(doors, door, case, form)


@pytest.mark.long
@pytest.mark.parametrize("form", FORMAT_NAMES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("door", [SKOPEO, WITH_AGENT])
def test_so_does_what_asks_a_door(doors: Doors, door: str, case: Case, form: str) -> None:
    check(doors, door, case, form)
