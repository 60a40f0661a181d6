"""Which commands of which guides are typed one after the other on one machine, and which are typed nowhere, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.support.guide_commands import Typed, commands
from tests.support.trust_program import SECRETS

TUTORIAL: Final = "docs/tutorial.md"
CI: Final = "docs/guides/ci.md"
CLOCK_JUMP: Final = "docs/guides/clock-jump.md"
DOCKER_PLUGIN: Final = "docs/guides/docker-plugin.md"
OPERATE: Final = "docs/guides/operate-server.md"
ROTATE: Final = "docs/guides/rotate-and-recover.md"
TUF_FORMAT: Final = "docs/reference/tuf-format.md"
_AFTER_SIGNERS: Final = "How tags and signers are laid out"

LEFT_OUT: Final = {
    (TUTORIAL, "sudo apt install python3-venv docker-registry skopeo curl docker.io"): "changes the machine",
    (TUTORIAL, "sudo systemctl disable --now docker-registry"): "changes the machine",
}
"""Commands that no test types."""
STANDS_IN: Final = (TUTORIAL, "sh install.sh ~/content-trust")
"""What is done in place of this in all stories but those that install: the programs are put there."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Sections of a guide; all of them if none is named. `compared`: whether they print here what the guide shows."""

    guide: str
    headings: tuple[str, ...] = ()
    compared: bool = True

    def steps(self) -> list[Typed]:
        found = commands(self.guide)
        assert set(self.headings) <= {step.heading for step in found}, self
        return [
            step
            for step in found
            if (not self.headings or step.heading in self.headings) and (step.guide, step.command) not in LEFT_OUT
        ]


@dataclass(frozen=True, kw_only=True)
class Story:
    """What somebody types in one shell. `before`: what the guide takes for granted; `installs`: with install.sh."""

    parts: tuple[Part, ...]
    before: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)
    installs: bool = False

    def typed(self) -> list[tuple[Typed, bool]]:
        """Every command, and whether what it prints is compared."""
        return [
            (step, part.compared)
            for part in self.parts
            for step in part.steps()
            if self.installs or (step.guide, step.command) != STANDS_IN
        ]


def _tutorial(first: int, last: int, *, compared: bool = True, engine: bool = False) -> Part:
    """The steps from one to the other; `engine`: with the one that needs Docker's."""
    wanted = [f"{number}. " for number in range(first, last + 1) if engine or number != _NEEDS_THE_ENGINE]
    headings = dict.fromkeys(step.heading for step in commands(TUTORIAL))
    chosen = tuple(heading for heading in headings if heading.startswith(tuple(wanted)))
    return Part(guide=TUTORIAL, headings=chosen, compared=compared)


_NEEDS_THE_ENGINE: Final = 9
_TUF_FORMAT: Final = tuple(
    dict.fromkeys(step.heading for step in commands(TUF_FORMAT) if step.heading != _AFTER_SIGNERS)
)
_PATH: Final = "export PATH=~/content-trust/bin:$PATH\n"
_FOLDER: Final = "mkdir ~/w && cd ~/w\n"

STORIES: Final = {
    "readme": Story(
        before="mkdir ~/source && cd ~/source && mkdir .venv && ln -s ~/content-trust/bin .venv/bin",
        parts=(_tutorial(3, 3, compared=False), Part(guide="README.md")),
        environ=SECRETS,
    ),
    "tutorial": Story(
        parts=(
            _tutorial(1, 6),
            Part(guide=TUF_FORMAT, headings=_TUF_FORMAT),
            _tutorial(7, 10),
            Part(guide=TUF_FORMAT, headings=(_AFTER_SIGNERS,)),
            _tutorial(11, 12),
            Part(guide=ROTATE),
            _tutorial(13, 13),
        ),
    ),
    "ci": Story(
        parts=(
            _tutorial(1, 7, compared=False),
            Part(guide=CI),
            _tutorial(8, 13, compared=False),
        ),
    ),
    "operate-server": Story(
        before=_PATH + _FOLDER,
        parts=(_tutorial(3, 3, compared=False), Part(guide=OPERATE)),
        environ=SECRETS,
    ),
    "docker-plugin": Story(before=_PATH, parts=(Part(guide=DOCKER_PLUGIN),)),
    "clock-jump": Story(
        before=_PATH + _FOLDER,
        parts=(_tutorial(2, 2, compared=False), Part(guide=CLOCK_JUMP)),
    ),
}

WITH_THE_ENGINE: Final = Story(parts=(_tutorial(1, 8, compared=False), _tutorial(9, 9, engine=True)))
