"""An agent's yes is compared with what this user has seen: whatever cannot be compared is verified without an agent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from trustcli.hooks.agent.client import Yes
from trustcli.hooks.agent.own_memory import has_seen_newer

APP, VERSIONS = "registry.example.com/app", {"root": 2, "timestamp": 9, "targets": 4}
OTHER = "vendor.example.com/app"
"""Another collection that the decision rests on: the second one, that of the policy, or what an alias stands for."""
ROOT, OTHER_ROOT = "ab" * 32, "cd" * 32


def remembered(folder: Path, roles: object, name: str = APP) -> Path:
    document = {"format": "content-trust-seen-1", "collections": {name: {"root_of_trust": ROOT, "roles": roles}}}
    (folder / "seen.json").write_text(json.dumps(document))
    (folder / "seen.json").chmod(0o600)
    return folder


def seen(**versions: int) -> dict[str, dict[str, int]]:
    return {role: {"version": version, "root_version": 1} for role, version in versions.items()}


def told(name: str = APP, *, root: str = ROOT, **versions: int) -> dict[str, object]:
    """What the agent remembers."""
    return {name: {"root_of_trust": root, "roles": seen(**(versions or VERSIONS))}}


def yes(versions: object = VERSIONS, memory: Mapping[str, Any] | None = None, *, exempted: bool = False) -> Yes:
    return Yes(
        runs=None,
        collection=APP,
        reason="it is signed",
        mode="allow" if exempted else "enforce",
        rule="",
        warnings=(),
        age=None,
        stale=False,
        evidence={} if exempted else {"versions": versions},
        memory=told() if memory is None else memory,
    )


def test_without_a_memory_nothing_newer_was_seen(tmp_path: Path) -> None:
    assert not has_seen_newer(tmp_path, yes())
    assert not has_seen_newer(remembered(tmp_path, seen(root=9), "registry.example.com/third"), yes())


@pytest.mark.parametrize(
    ("roles", "is_newer"),
    [
        (seen(root=2, timestamp=9, targets=4), False),
        (seen(root=1, timestamp=8, targets=3, snapshot=99), False),
        (seen(timestamp=10), True),
        (seen(root=3, timestamp=1), True),
    ],
)
def test_any_higher_version_is_newer(tmp_path: Path, roles: object, *, is_newer: bool) -> None:
    assert has_seen_newer(remembered(tmp_path, roles), yes()) is is_newer


@pytest.mark.parametrize("exempted", [False, True])
@pytest.mark.parametrize(("version", "is_newer"), [(9, False), (10, True)])
def test_every_collection_counts_that_a_decision_rests_on(
    tmp_path: Path, version: int, *, is_newer: bool, exempted: bool
) -> None:
    """An exemption rests on the policy, which somebody may have distributed, and nobody's evidence names it."""
    folder = remembered(tmp_path, seen(timestamp=version), OTHER)
    assert has_seen_newer(folder, yes(memory=told() | told(OTHER), exempted=exempted)) is is_newer


def test_an_agent_that_knows_another_first_root_is_not_compared(tmp_path: Path) -> None:
    folder = remembered(tmp_path, seen(timestamp=1), OTHER)
    assert not has_seen_newer(folder, yes(memory=told() | told(OTHER)))
    assert has_seen_newer(folder, yes(memory=told() | told(OTHER, root=OTHER_ROOT)))


def test_an_agent_that_has_verified_and_remembers_nothing_is_not_compared(tmp_path: Path) -> None:
    assert has_seen_newer(tmp_path, yes(memory={}))
    assert not has_seen_newer(tmp_path, yes(memory={}, exempted=True))


@pytest.mark.parametrize("versions", [None, {}, [], {"root": "2"}])
def test_an_answer_that_names_no_versions_is_not_compared(tmp_path: Path, versions: object) -> None:
    assert has_seen_newer(remembered(tmp_path, seen(root=1)), yes(versions))


@pytest.mark.parametrize("memory", [7, {}, {"root_of_trust": ROOT, "roles": []}, {"root_of_trust": ROOT, "roles": {}}])
def test_what_an_agent_remembers_must_have_its_form(tmp_path: Path, memory: object) -> None:
    assert has_seen_newer(remembered(tmp_path, seen(root=1), OTHER), yes(memory=told() | {OTHER: memory}))


@pytest.mark.parametrize("roles", [None, [], {"root": 7}, {"root": {"version": "7"}}])
def test_a_damaged_memory_is_not_compared(tmp_path: Path, roles: object) -> None:
    assert has_seen_newer(remembered(tmp_path, roles), yes())


def test_a_memory_that_cannot_be_read_is_not_compared(tmp_path: Path) -> None:
    file = remembered(tmp_path, seen(root=1)) / "seen.json"
    for content in (b"", b"{", b"[]", b"[" * 100_000, b'{"collections": 7}'):
        file.write_bytes(content)
        assert has_seen_newer(tmp_path, yes())
    remembered(tmp_path, seen(root=1))
    file.chmod(0o666)
    assert has_seen_newer(tmp_path, yes()), "others may have changed it"
    file.unlink()
    file.mkdir()
    assert has_seen_newer(tmp_path, yes())
