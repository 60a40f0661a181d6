"""One organisation, asked at every door about every image of the table, before and after something has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from tests.support.door_cases import ANYTHING, CASES, DENIED, Case
from tests.support.doors import Door, Files, Question, Told, make_older
from tests.support.simulated_site import SimulatedSite
from trustdata.gun import GUN
from trustdata.wire.format_names import FORMAT_NAMES
from trustserver.process.kernel_clock import now

Key = tuple[str, str]
"""The name of a case, and a format."""
OpenDoors = Callable[[Path, Files, str], Mapping[str, Door]]


class Doors:
    """Doors of one organisation, the collections that they are asked about, and what they say.

    `open_doors`: makes the doors, each in the folder, by these files, in front of the registry at this address.
    """

    def __init__(self, folder: Path, open_doors: OpenDoors) -> None:
        self.site = SimulatedSite(now())
        self.names = {(case.name, form): self._made(case, form) for case in CASES for form in FORMAT_NAMES}
        self.lists = [self._list(f"deny-list-{form}", form, content) for content, form in DENIED.items()]
        files = Files(settings=self._settings(), policy=self._policy(), pins=self.site.pins)
        self.doors = open_doors(folder, files, self.site.images.netloc)
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
        for folder in {door.folder for door in self.doors.values()}:  # some ask another one, and have its
            for case in changing:
                if case.age is not None:
                    make_older(folder, [self.names[case.name, form] for form in FORMAT_NAMES], case.age)
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

    def _list(self, name: str, form: str, content: str) -> GUN:
        """A collection whose list the policy names, and what it denies."""
        gun = self.site.name(name)
        self.site.collection(gun, form)
        self.site.deny(gun, content)
        return gun

    def _settings(self) -> str:
        """Every name has its server; what can be taken down has one that can."""
        rows = [f'"{self.names[case.name, form]}" = "{self.site.away.url}"' for case, form in self._down()]
        return "\n".join(["[servers]", f'"{self.site.images.netloc}" = "{self.site.trust.url}"', *rows])

    def _down(self) -> list[tuple[Case, str]]:
        return [(case, form) for case in CASES if case.down for form in FORMAT_NAMES]

    def _policy(self) -> str:
        parts = ["version = 1"]
        parts += [f'[[deny_list]]\nname = "{gun}"\npins = ["{self.site.pins[gun].pin}"]' for gun in self.lists]
        for case in CASES:
            for form in FORMAT_NAMES:
                name = self.names[case.name, form]
                if case.rule is not None:
                    parts.append(f'[[rule]]\nmatch = "{name}"\n{case.rule}')
                if case.denied:
                    digest = self.site.digests[case.denied]
                    parts.append(f'[[rule]]\nmatch = "{name}"\ndigests = ["{digest}"]\nmode = "deny"')
                if case.alias_of:
                    parts.append(f'[[alias]]\nname = "{name}"\ntrust = "{self.names[case.alias_of, form]}"')
        return "\n".join(parts)


def check(doors: Doors, door: str, case: Case, form: str) -> None:
    """A door has said what the table says."""
    told = doors.told(door)[case.name, form]
    wanted = case.expected(door, form)
    assert told.allowed == bool(wanted.runs), told
    if wanted.runs:
        assert told.runs == ("" if wanted.runs == ANYTHING else doors.site.digests[wanted.runs])
    else:
        assert told.code in {None, wanted.code}, told
        assert told.status in {None, wanted.status}, told
    if told.text or not wanted.runs:
        assert wanted.words in told.text, told
