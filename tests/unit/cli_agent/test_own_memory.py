"""An agent's yes is compared with what this user has seen: whatever cannot be compared is verified without an agent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trustcli.hooks.agent.own_memory import has_seen_newer

APP, VERSIONS = "registry.example.com/app", {"root": 2, "timestamp": 9, "targets": 4}


def remembered(folder: Path, roles: object, name: str = APP) -> Path:
    document = {"format": "content-trust-seen-1", "collections": {name: {"roles": roles}}}
    (folder / "seen.json").write_text(json.dumps(document))
    (folder / "seen.json").chmod(0o600)
    return folder


def seen(**versions: int) -> dict[str, dict[str, int]]:
    return {role: {"version": version, "root_version": 1} for role, version in versions.items()}


def test_without_a_memory_nothing_newer_was_seen(tmp_path: Path) -> None:
    assert not has_seen_newer(tmp_path, APP, VERSIONS)
    assert not has_seen_newer(remembered(tmp_path, seen(root=9), "registry.example.com/other"), APP, VERSIONS)


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
    assert has_seen_newer(remembered(tmp_path, roles), APP, VERSIONS) is is_newer


@pytest.mark.parametrize("versions", [None, {}, [], {"root": "2"}])
def test_an_answer_that_names_no_versions_is_not_compared(tmp_path: Path, versions: object) -> None:
    assert has_seen_newer(remembered(tmp_path, seen(root=1)), APP, versions)


@pytest.mark.parametrize("roles", [None, [], {"root": 7}, {"root": {"version": "7"}}])
def test_a_damaged_memory_is_not_compared(tmp_path: Path, roles: object) -> None:
    assert has_seen_newer(remembered(tmp_path, roles), APP, VERSIONS)


def test_a_memory_that_cannot_be_read_is_not_compared(tmp_path: Path) -> None:
    file = remembered(tmp_path, seen(root=1)) / "seen.json"
    for content in (b"", b"{", b"[]", b"[" * 100_000):
        file.write_bytes(content)
        assert has_seen_newer(tmp_path, APP, VERSIONS)
    remembered(tmp_path, seen(root=1))
    file.chmod(0o666)
    assert has_seen_newer(tmp_path, APP, VERSIONS), "others may have changed it"
    file.unlink()
    file.mkdir()
    assert has_seen_newer(tmp_path, APP, VERSIONS)
