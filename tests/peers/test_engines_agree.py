"""One image, one verdict, at the engines too: Docker's and podman pull every image of the table through the proxy.

What the other doors say of it: journeys/test_doors_agree.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.asked_doors import Doors, check
from tests.support.door_cases import CASES, ENGINE, PODMAN, PROXY, Case
from tests.support.doors import Door, Engine, Files, Podman, Proxy
from tests.support.programs import program
from tests.support.pulling_programs import Docker
from trustdata.wire.format_names import FORMAT_NAMES

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


class Missing(dict[str, str]):
    """Why a program is not there, by the name of its door."""


@pytest.fixture(scope="module")
def missing() -> Missing:
    return Missing()


@pytest.fixture(scope="module")
def doors(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, missing: Missing
) -> Iterator[Doors]:
    """The proxy, and behind it those of the programs that are there."""

    def open_doors(folder: Path, files: Files, upstream: str) -> Mapping[str, Door]:
        proxy = Proxy(folder / PROXY, files, upstream=upstream)
        found: dict[str, Door] = {PROXY: proxy}
        try:
            program("podman")
            found[PODMAN] = Podman(proxy, folder / PODMAN)
        except pytest.skip.Exception as reason:
            missing[PODMAN] = str(reason)
        try:
            unpacked, host = (request.getfixturevalue(name) for name in ("unpacked_docker", "engine"))
            found[ENGINE] = Engine(proxy, Docker(unpacked, host, folder / "docker"))
        except pytest.skip.Exception as reason:
            missing[ENGINE] = str(reason)
        return found

    made = Doors(tmp_path_factory.mktemp("engines"), open_doors)
    try:
        made.begin()
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize("form", FORMAT_NAMES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("door", [ENGINE, PODMAN])
def test_an_engine_says_what_every_door_says(doors: Doors, missing: Missing, door: str, case: Case, form: str) -> None:
    if door in missing:
        pytest.skip(missing[door])
    check(doors, door, case, form)
