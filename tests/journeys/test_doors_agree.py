"""One image, one verdict: every door says of every image in the table what the table says, in both formats.

The doors are real programs with memories of their own. All see the collections first as they were, and are asked again
once somebody has revoked, rolled back or taken down what the table says; what stays was restarted meanwhile, as nodes
are.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.door_cases import (
    ADMISSION,
    AGENT,
    ANYTHING,
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
    Question,
    Skopeo,
    Told,
    Verifier,
    Webhook,
    make_older,
)
from tests.support.simulated_site import SimulatedSite
from trustdata.gun import GUN
from trustdata.wire.format_names import FORMAT_NAMES
from trustserver.process.kernel_clock import now

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])
Key = tuple[str, str]
"""The name of a case, and a format."""


class Doors:
    """All doors of one organisation, the collections that they are asked about, and what they say."""

    def __init__(self, folder: Path) -> None:
        self.site = SimulatedSite(now())
        self.names = {(case.name, form): self._made(case, form) for case in CASES for form in FORMAT_NAMES}
        files = Files(settings=self._settings(), policy=self._policy(), pins=self.site.pins)
        agent = Agent(folder / AGENT, files)
        proxy = Proxy(folder / PROXY, files, upstream=self.site.images.netloc)
        self.doors: dict[str, Door] = {
            CLI: CommandLine(folder / CLI, files),
            AGENT: agent,
            DOCKER: DockerPlugin(folder / DOCKER, files),
            CONTAINERD: Verifier(folder / CONTAINERD, files),
            WITH_AGENT: Verifier(folder / "with-agent", files, agent=agent),
            PROXY: proxy,
            SKOPEO: Skopeo(proxy),
            ADMISSION: Webhook(folder / ADMISSION, files),
        }
        self.told = cache(self._told)

    def begin(self) -> None:
        """Let every door see what is about to change, and change it."""
        changing = [case for case in CASES if case.then is not None]
        questions = [self.question(case, form) for case in changing for form in FORMAT_NAMES]
        for door in self.doors.values():
            door.start()
        for door in self.doors.values():
            assert [told for told in door.ask(questions) if not told.allowed] == []
        for door in self.doors.values():
            door.stop()
            for case in changing:
                if case.age is not None:
                    make_older(door.folder, [self.names[case.name, form] for form in FORMAT_NAMES], case.age)
        for case in changing:
            for form in FORMAT_NAMES:
                assert case.then is not None
                case.then(self.site, self.names[case.name, form])
        for door in self.doors.values():
            door.start()

    def stop(self) -> None:
        for door in self.doors.values():
            door.stop()
        self.site.stop()

    def question(self, case: Case, form: str) -> Question:
        name, sign, rest = self.names[case.name, form], case.image[0], case.image[1:]
        digest = self.site.digests[rest] if sign == "@" else self.site.registry.tags[rest]
        return Question(image=f"{name}@{digest}" if sign == "@" else f"{name}:{rest}", served=digest)

    def _told(self, door: str) -> dict[Key, Told]:
        """What a door says of every image."""
        keys = [(case, form) for case in CASES for form in FORMAT_NAMES]
        answers = self.doors[door].ask([self.question(case, form) for case, form in keys])
        return {(case.name, form): told for (case, form), told in zip(keys, answers, strict=True)}

    # --- what they go by

    def _made(self, case: Case, form: str) -> GUN:
        name = self.site.name(f"{case.name}-{form}")
        case.make(self.site, name, form)
        return name

    def _settings(self) -> str:
        """Every name has its server; what can be taken down has one that can."""
        rows = [f'"{self.names[case.name, form]}" = "{self.site.away.url}"' for case, form in self._down()]
        return "\n".join(["[servers]", f'"{self.site.images.netloc}" = "{self.site.trust.url}"', *rows])

    def _down(self) -> list[tuple[Case, str]]:
        return [(case, form) for case in CASES if case.down for form in FORMAT_NAMES]

    def _policy(self) -> str:
        parts = ["version = 1"]
        for case in CASES:
            for form in FORMAT_NAMES:
                name = self.names[case.name, form]
                if case.rule is not None:
                    parts.append(f'[[rule]]\nmatch = "{name}"\n{case.rule}')
                if case.alias_of:
                    parts.append(f'[[alias]]\nname = "{name}"\ntrust = "{self.names[case.alias_of, form]}"')
        return "\n".join(parts)


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    found = Doors(tmp_path_factory.mktemp("doors"))
    try:
        found.begin()
        yield found
    finally:
        found.stop()


@pytest.mark.parametrize("form", FORMAT_NAMES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("door", DOORS)
def test_every_door_says_the_same(doors: Doors, door: str, case: Case, form: str) -> None:
    check(doors, doors.told(door)[case.name, form], door, case, form)


@pytest.mark.long
@pytest.mark.parametrize("form", FORMAT_NAMES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("door", [SKOPEO, WITH_AGENT])
def test_so_does_what_asks_a_door(doors: Doors, door: str, case: Case, form: str) -> None:
    check(doors, doors.told(door)[case.name, form], door, case, form)


def check(doors: Doors, told: Told, door: str, case: Case, form: str) -> None:
    """A door has said what the table says."""
    wanted = case.expected(door, form)
    assert told.allowed == bool(wanted.runs), told
    if wanted.runs:
        assert told.runs == ("" if wanted.runs == ANYTHING else doors.site.digests[wanted.runs])
    else:
        assert told.code in {None, wanted.code}, told
        assert told.status in {None, wanted.status}, told
    if told.text or not wanted.runs:
        assert wanted.words in told.text, told
