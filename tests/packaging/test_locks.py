"""The lock files: what runs is a part of the whole, and both hold what pyproject.toml asks for, by hash."""

from __future__ import annotations

import re
from importlib.metadata import requires
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.building import PROJECT, SOURCE
from tests.support.locks import BUILDS, EXTRAS, RUNS, WHOLE, Locked

_RUNS: Final = PROJECT["project"]["dependencies"]
_BUILDS: Final = PROJECT["build-system"]["requires"]
_EXTRAS: Final = {k: v for k, v in PROJECT["project"]["optional-dependencies"].items() if k != "dev"}
_DEVELOPS: Final = PROJECT["project"]["optional-dependencies"]["dev"]


def test_what_runs_and_what_builds_are_parts_of_the_whole() -> None:
    assert RUNS
    assert BUILDS
    assert {**RUNS, **BUILDS}.items() <= WHOLE.items()


@pytest.mark.parametrize(
    ("locked", "asked"),
    [(RUNS, _RUNS), (BUILDS, _BUILDS), (WHOLE, [*_RUNS, *_BUILDS, *_DEVELOPS])],
    ids=["runs", "builds", "whole"],
)
def test_they_satisfy_the_project(locked: dict[str, Locked], asked: list[str]) -> None:
    missing = []
    for text in asked:
        requirement = Requirement(text)
        entry = locked.get(canonicalize_name(requirement.name))
        if entry is None or not requirement.specifier.contains(entry.version):
            missing.append(text)
    assert missing == []


def test_the_tools_of_developers_are_not_where_the_program_is_used() -> None:
    only_developers = {canonicalize_name(Requirement(text).name) for text in _DEVELOPS}
    assert only_developers & RUNS.keys() == set()


@pytest.mark.parametrize("locked", [RUNS, BUILDS, WHOLE], ids=["runs", "builds", "whole"])
def test_every_entry_has_hashes(locked: dict[str, Locked]) -> None:
    for name, entry in locked.items():
        assert entry.hashes, name
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", digest) for digest in entry.hashes), name


@pytest.mark.parametrize("extra", sorted(_EXTRAS))
def test_an_extra_is_what_runs_besides_with_all_that_it_needs(extra: str) -> None:
    """As the installed packages say what they need; another platform may need more."""
    left, needed = [Requirement(text) for text in _EXTRAS[extra]], set[str]()
    while left:
        asked = left.pop()
        needed.add(canonicalize_name(asked.name))
        left += [each for each in _needs(asked) if canonicalize_name(each.name) not in needed]
    listed = EXTRAS[extra]
    assert needed - RUNS.keys() <= listed
    assert not listed & RUNS.keys()
    assert listed <= WHOLE.keys()


def _needs(asked: Requirement) -> list[Requirement]:
    """What an installed package needs, with the extras of its own that are asked for."""
    needs = [Requirement(text) for text in requires(asked.name) or ()]
    environments = [{"extra": extra} for extra in ("", *asked.extras)]
    return [each for each in needs if each.marker is None or any(map(each.marker.evaluate, environments))]


def test_every_extra_of_users_is_listed() -> None:
    assert EXTRAS.keys() == _EXTRAS.keys()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock", "requirements-extras.lock"])
def test_no_lock_names_a_host_or_a_folder(name: str) -> None:
    """Where packages come from is the reader's own setting."""
    text = (SOURCE / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*-(?!-hash=)", text, re.MULTILINE)
