"""The lock files: what runs is a part of the whole, and both hold what pyproject.toml asks for, by hash."""

from __future__ import annotations

import re
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.building import PROJECT, SOURCE
from tests.support.locks import BUILDS, RUNS, WHOLE, Locked

_RUNS: Final = PROJECT["project"]["dependencies"]
_BUILDS: Final = PROJECT["build-system"]["requires"]
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


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_no_lock_names_a_host_or_a_folder(name: str) -> None:
    """Where packages come from is the reader's own setting."""
    text = (SOURCE / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*-(?!-hash=)", text, re.MULTILINE)
