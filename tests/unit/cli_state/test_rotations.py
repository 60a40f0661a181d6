"""`rotations.json`: what has begun, for how long the same command goes on with it, and damaged files."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trustcli.errors import SettingsUnusable
from trustcli.state.rotations import RESUMED_FOR, BegunRotation, RotationsFile
from trustdata.gun import parse_gun
from trustdata.roles import ROOT, TARGETS

AT = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)
A, B, C = (parse_gun(f"registry.example.com/{letter}") for letter in "abc")
ENTRY = {"role": "root", "key": "", "begun": "2026-11-01T12:00:00Z", "names": [], "collections": {}}
BEGUN = BegunRotation(new="11" * 32, before=("22" * 32,))


@pytest.fixture
def file(tmp_path: Path) -> RotationsFile:
    """A has begun, of a rotation of A and B."""
    rotations = RotationsFile(tmp_path / "home" / "rotations.json")
    rotations.begin(rotations.resumed(ROOT, "", [A, B], at=AT), A, BEGUN)
    return rotations


@pytest.mark.parametrize("names", [[A, B], [B, A], [A], [B]])
def test_the_same_command_goes_on(file: RotationsFile, names: list[str]) -> None:
    found = file.resumed(ROOT, "", [parse_gun(name) for name in names], at=AT + RESUMED_FOR)
    assert (found.begun, found.collections) == (AT, {A: BEGUN})


def test_another_command_begins_anew(file: RotationsFile) -> None:
    later = AT + timedelta(hours=1)
    for found in (
        file.resumed(TARGETS, "", [A, B], at=later),
        file.resumed(ROOT, "spare", [A, B], at=later),
        file.resumed(ROOT, "", [A, C], at=later),
        file.resumed(ROOT, "", [A, B], at=AT + RESUMED_FOR + timedelta(seconds=1)),
        file.resumed(ROOT, "", [A, B], at=AT - RESUMED_FOR - timedelta(seconds=1)),
    ):
        assert found.collections == {}


def test_what_was_replaced_is_known_however_long_ago(file: RotationsFile) -> None:
    assert file.replaced(ROOT, A) == {"22" * 32}
    assert file.replaced(ROOT, B) == file.replaced(TARGETS, A) == frozenset()
    old = AT + timedelta(days=100)
    file.begin(file.resumed(TARGETS, "", [B], at=old), B, BEGUN)
    assert file.replaced(ROOT, A) == frozenset(), "an old one goes with the next"
    assert file.replaced(TARGETS, B) == {"22" * 32}


def test_what_is_done_is_taken_out(file: RotationsFile) -> None:
    entry = file.resumed(ROOT, "", [A, B], at=AT)
    file.finish(entry, [A])
    left = file.resumed(ROOT, "", [B], at=AT)
    assert (left.begun, sorted(left.names), dict(left.collections)) == (AT, [B], {})
    assert file.resumed(ROOT, "", [A, B], at=AT).names == {A, B}, "the next rotation of A is another one"
    file.finish(left, [B])
    assert json.loads((file.path).read_text()) == {"version": 1, "rotations": []}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is damaged"),
        ("[]", "is damaged"),
        ('{"version": "2", "rotations": []}', "is damaged"),
        ('{"version": 1, "rotations": [{}]}', "is damaged"),
        ('{"version": 1, "rotations": [{"role": 1}]}', "is damaged"),
        (
            json.dumps({"version": 1, "rotations": [{**ENTRY, "begun": "yesterday"}]}),
            "is damaged",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named(file: RotationsFile, content: str, said: str) -> None:
    file.path.write_text(content)
    with pytest.raises(SettingsUnusable, match=said):
        file.resumed(ROOT, "", [A], at=AT)
