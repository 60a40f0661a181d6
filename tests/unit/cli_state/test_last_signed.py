"""`last-signed.json`: when keys last signed here, what is later stays, and damaged files."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keys.rfc3339 import to_rfc3339
from trustcli.errors import MemoryUnwritable, SettingsUnusable
from trustcli.state import last_signed
from trustcli.state.last_signed import AHEAD, LastSigned

AT = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)
A, B, C = ("11" * 32, "22" * 32, "33" * 32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "last-signed.json"


def test_nothing_is_known_before(path: Path) -> None:
    assert LastSigned(path).load() == {}
    assert not path.exists()


def test_the_newest_time_of_each_key_stays(path: Path) -> None:
    file = LastSigned(path)
    file.note([A, B], AT.replace(microsecond=7))
    file.note([B, C], AT + timedelta(hours=1))
    file.note([B], AT + timedelta(minutes=1))  # of a run that began earlier and ended later
    assert LastSigned(path).load() == {A: AT, B: AT + timedelta(hours=1), C: AT + timedelta(hours=1)}


def test_a_time_of_a_clock_that_was_ahead_goes(path: Path) -> None:
    file = LastSigned(path)
    file.note([A], AT + AHEAD)
    file.note([B], AT + AHEAD + timedelta(seconds=1))
    file.note([A, B], AT)
    assert file.load() == {A: AT + AHEAD, B: AT}


def test_what_is_known_is_not_written_again(path: Path) -> None:
    file = LastSigned(path)
    file.note([A], AT)
    before = path.stat().st_ino  # each write replaces the file
    file.note([A], AT)
    file.note([], AT + timedelta(days=1))
    assert path.stat().st_ino == before


def test_it_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_signed, "MOST_KEYS", 2)
    file = LastSigned(path)
    for minutes, key in enumerate([B, A, C]):
        file.note([key], AT + timedelta(minutes=minutes))
    assert set(file.load()) == {A, C}


def test_processes_that_write_together_lose_nothing(path: Path) -> None:
    """Each of four notes a key of its own twenty times; none is told to wait for another."""
    program = (
        "import sys; from datetime import datetime, timedelta, UTC; from pathlib import Path\n"
        "from trustcli.state.last_signed import LastSigned\n"
        "for turn in range(20):\n"
        "    at = datetime(2026, 11, 1, 12, turn, tzinfo=UTC)\n"
        "    LastSigned(Path(sys.argv[1])).note([sys.argv[2] * 64], at)\n"
    )
    path.parent.mkdir(mode=0o700)
    started = [subprocess.Popen([sys.executable, "-c", program, str(path), each]) for each in "0123"]
    assert [each.wait(timeout=120) for each in started] == [0] * 4
    assert LastSigned(path).load() == {each * 64: AT + timedelta(minutes=19) for each in "0123"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": 1}',
        b'{"version": 0, "keys": {}}',
        b'{"version": 1, "keys": []}',
        b'{"version": 1, "keys": {"11": "2026-11-01T12:00:00Z"}}',
        json.dumps({"version": 1, "keys": {A: "yesterday"}}).encode(),
        json.dumps({"version": 1, "keys": {A: 7}}).encode(),
        json.dumps({"version": 1, "keys": {A: None}}).encode(),
    ],
)
def test_a_damaged_file_is_refused_and_stays(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700)
    path.write_bytes(content)
    path.chmod(0o600)
    for use in (lambda: LastSigned(path).load(), lambda: LastSigned(path).note([A], AT)):
        with pytest.raises(SettingsUnusable) as caught:
            use()
        assert caught.value.place == str(path)
        assert caught.value.reason == "is damaged; remove it, and what keys sign from then on is noted anew"
    assert path.read_bytes() == content


def test_one_that_cannot_be_read_says_why(path: Path) -> None:
    path.mkdir(parents=True, mode=0o700)
    with pytest.raises(SettingsUnusable) as caught:
        LastSigned(path).load()
    assert caught.value.reason == "Is a directory"


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("no folder")
    with pytest.raises(MemoryUnwritable):
        LastSigned(tmp_path / "home" / "last-signed.json").note([A], AT)


def test_its_form(path: Path) -> None:
    LastSigned(path).note([B, A], AT)
    assert json.loads(path.read_bytes()) == {"version": 1, "keys": {A: to_rfc3339(AT), B: to_rfc3339(AT)}}
    assert path.stat().st_mode & 0o777 == 0o600
