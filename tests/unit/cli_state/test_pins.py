"""pins.toml: recorded once, replaced only on purpose, never lost, never silently begun anew."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.record import replace
from tests.unit.cli_state.samples import ANOTHER, APP, ENTRY, OTHER
from trustcli.errors import (
    MemoryUnwritable,
    SettingsUnusable,
)
from trustcli.state.pins import HOW, PatternPin, PinEntry, PinsFile
from trustdata.errors import (
    FormatChanged,
    PinsDisagree,
)
from trustdata.gun import GUN, parse_gun
from trustdata.verification.trust_pinning import Pin
from trustdata.wire.format_names import FORMAT_NAMES


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "pins.toml"


@pytest.fixture
def pins(path: Path) -> PinsFile:
    return PinsFile(path)


def test_no_file_is_no_pin(pins: PinsFile) -> None:
    assert pins.load() == {}


def test_what_is_recorded_is_there_for_the_next_process(pins: PinsFile, path: Path) -> None:
    pins.record(APP, ENTRY)
    pins.record(OTHER, ANOTHER)
    assert PinsFile(path).load() == {OTHER: ANOTHER, APP: ENTRY}
    assert list(PinsFile(path).load()) == [OTHER, APP]
    assert path.stat().st_mode & 0o7777 == 0o600
    assert path.parent.stat().st_mode & 0o7777 == 0o700


def test_the_same_pin_again_changes_nothing(pins: PinsFile, path: Path) -> None:
    pins.record(APP, ENTRY)
    before = path.read_bytes()
    pins.record(APP, replace(ENTRY, how="tofu", recorded=ENTRY.recorded + timedelta(days=1)))
    assert path.read_bytes() == before


def test_another_pin_is_refused_and_both_are_named(pins: PinsFile, path: Path) -> None:
    pins.record(APP, ENTRY)
    with pytest.raises(PinsDisagree) as caught:
        pins.record(APP, ANOTHER)
    assert (caught.value.pin, caught.value.other) == (str(ENTRY.pin), str(ANOTHER.pin))
    with pytest.raises(FormatChanged):
        pins.record(APP, replace(ENTRY, format="notary-v1"))
    assert PinsFile(path).load() == {APP: ENTRY}


def test_replaced_on_purpose(pins: PinsFile) -> None:
    pins.record(APP, ENTRY)
    pins.record(OTHER, ENTRY)
    pins.replace(APP, ANOTHER)
    assert pins.load() == {OTHER: ENTRY, APP: ANOTHER}


def test_times_are_kept_in_utc_and_whole_seconds(pins: PinsFile) -> None:
    eastern = datetime(2026, 1, 2, 5, 4, 5, 999, tzinfo=timezone(timedelta(hours=2)))
    pins.record(APP, replace(ENTRY, recorded=eastern))
    assert pins.load()[APP].recorded == ENTRY.recorded


GOOD = f"""\
[pins."a.example.com/x"]
pin = "{ENTRY.pin}"
format = "tuf-1.0"
recorded = 2026-01-02T03:04:05Z
how = "init"
"""


def test_reads_what_a_person_wrote(pins: PinsFile, path: Path) -> None:
    path.parent.mkdir()
    path.write_text("# my pins\n" + GOOD)
    assert list(pins.load()) == ["a.example.com/x"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: t[:-20],
        lambda t: t + t,
        lambda t: t.replace("sha256:ab", "sha256:a"),
        lambda t: t.replace("sha256:", "md5:"),
        lambda t: t.replace("tuf-1.0", "tuf-2.0"),
        lambda t: t.replace("init", "magic"),
        lambda t: t.replace("05Z", "05"),
        lambda t: t.replace("2026-01-02T03:04:05Z", '"today"'),
        lambda t: t.replace("a.example.com/x", "A.example.com/X"),
        lambda t: t + "more = 1\n",
        lambda t: t + "[other]\n",
        lambda _: "pins = 5",
        lambda _: "pins.x = 5",
        lambda t: t + "\x00",
    ],
)
def test_a_damaged_file_is_refused_named_and_left_as_it_is(
    pins: PinsFile, path: Path, spoil: Callable[[str], str]
) -> None:
    path.parent.mkdir()
    path.write_text(spoil(GOOD))
    before = path.read_bytes()
    for use in (pins.load, lambda: pins.record(APP, ENTRY), lambda: pins.replace(APP, ENTRY)):
        with pytest.raises(SettingsUnusable) as caught:
            use()
        assert caught.value.place == str(path)
    assert path.read_bytes() == before


def test_bytes_that_are_no_text_and_a_folder_in_its_place(pins: PinsFile, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsUnusable):
        pins.load()
    path.unlink()
    path.mkdir()
    with pytest.raises(SettingsUnusable):
        pins.load()


def test_a_disk_that_refuses_keeps_the_old_pins(pins: PinsFile, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    pins.record(APP, ENTRY)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MemoryUnwritable, match="No space left") as caught:
        pins.record(OTHER, ENTRY)
    assert caught.value.path == str(path)
    assert pins.load() == {APP: ENTRY}


_ENTRIES = st.builds(
    PinEntry,
    pin=st.builds(Pin, st.sampled_from(["sha256", "key"]), st.text("0123456789abcdef", min_size=64, max_size=64)),
    format=st.sampled_from(FORMAT_NAMES),
    recorded=st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
        lambda t: t.replace(microsecond=0)
    ),
    how=st.sampled_from(HOW),
)
_NAMES = st.from_regex(
    r"[a-z0-9]{1,8}(\.[a-z]{1,8}){0,2}(:[0-9]{1,4}/|/)[a-z0-9]{1,8}([._/-][a-z0-9]{1,8}){0,3}", fullmatch=True
)


@settings(deadline=None, max_examples=30)
@given(st.dictionaries(_NAMES.map(parse_gun), _ENTRIES, max_size=3))
def test_whatever_is_recorded_is_loaded(expected: dict[GUN, PinEntry]) -> None:
    with tempfile.TemporaryDirectory() as folder, mock.patch("os.fsync"):  # the law is about content, not the disk
        pins = PinsFile(Path(folder) / "pins.toml")
        for gun, entry in expected.items():
            pins.record(gun, entry)
        assert pins.load() == expected


class TestPatterns:
    KEY = PatternPin(pin=Pin("key", "cd" * 32), recorded=datetime(2026, 1, 2, tzinfo=UTC))
    OTHER_KEY = PatternPin(pin=Pin("key", "ef" * 32), recorded=datetime(2026, 1, 3, tzinfo=UTC))

    def test_they_stand_beside_names_and_neither_loses_the_other(self, pins: PinsFile, path: Path) -> None:
        pins.record(APP, ENTRY)
        assert b"version" not in path.read_bytes(), "programs that know no version read it"
        pins.record_pattern("example.com/team/*", self.KEY)
        pins.record(OTHER, ANOTHER)
        pins.replace(APP, replace(ENTRY, how="tofu"))
        again = PinsFile(path)
        assert again.patterns() == {"example.com/team/*": self.KEY}
        assert set(again.load()) == {APP, OTHER}
        assert b"version = 2\n" in path.read_bytes(), "a program that knows no patterns must not drop them"

    def test_the_most_specific_one_counts(self, pins: PinsFile) -> None:
        pins.record_pattern("example.com/team/*", self.KEY)
        pins.record_pattern("example.com/team/guests/*", self.OTHER_KEY)
        assert pins.pattern_for(parse_gun("example.com/team/a/b")) == ("example.com/team/*", self.KEY)
        assert pins.pattern_for(parse_gun("example.com/team/guests/a")) == ("example.com/team/guests/*", self.OTHER_KEY)
        assert pins.pattern_for(parse_gun("example.com/team")) is None
        assert pins.pattern_for(parse_gun("example.com/teams/a")) is None

    def test_another_key_replaces_the_first_only_on_purpose(self, pins: PinsFile, path: Path) -> None:
        pins.record_pattern("example.com/team/*", self.KEY)
        before = path.read_bytes()
        with pytest.raises(PinsDisagree):
            pins.record_pattern("example.com/team/*", self.OTHER_KEY)
        pins.record_pattern("example.com/team/*", replace(self.KEY, recorded=self.OTHER_KEY.recorded))
        assert path.read_bytes() == before
        pins.record_pattern("example.com/team/*", self.OTHER_KEY, replaces=True)
        assert pins.patterns() == {"example.com/team/*": self.OTHER_KEY}

    @pytest.mark.parametrize(
        ("table", "said"),
        [
            ('[patterns."*"]\npin = "key:{0}"\nrecorded = 2026-01-02T03:04:05Z', "the beginning of names before /"),
            ('[patterns."example.com"]\npin = "key:{0}"\nrecorded = 2026-01-02T03:04:05Z', "the beginning of names"),
            (
                '[patterns."Example.com/a/*"]\npin = "key:{0}"\nrecorded = 2026-01-02T03:04:05Z',
                "the beginning of names",
            ),
            (
                '[patterns."example.com/a/*"]\npin = "sha256:{0}"\nrecorded = 2026-01-02T03:04:05Z',
                "pin must be key:HEX",
            ),
            ('[patterns."example.com/a/*"]\npin = "key:1"\nrecorded = 2026-01-02T03:04:05Z', "must be sha256:HEX"),
            ('[patterns."example.com/a/*"]\npin = "key:{0}"\nrecorded = 2026-01-02', "recorded must be a time"),
            ('[patterns."example.com/a/*"]\npin = "key:{0}"', "must have pin, recorded, and nothing else"),
            ('[patterns."example.com/a/*"]\npin = "key:{0}"\nrecorded = 1\nhow = "pin"', "and nothing else"),
            ('[patterns."example.com/a/*"]\npin = 1', "and nothing else, as trust pin writes it"),
            ("patterns = 1", "holds something else"),
            ('[pin."example.com/a"]\nx = 1', r"pin is not one of its members: there are \[pins\.NAME\]"),
        ],
    )
    def test_a_damaged_table_is_refused_by_name(self, table: str, said: str, pins: PinsFile, path: Path) -> None:
        path.parent.mkdir(mode=0o700)
        path.write_text(table.format("ab" * 32))
        path.chmod(0o600)
        with pytest.raises(SettingsUnusable, match=said):
            pins.load()
        with pytest.raises(SettingsUnusable, match=said):
            pins.record(APP, ENTRY)
        assert path.read_text() == table.format("ab" * 32)


def test_the_file_is_parsed_again_only_if_it_differs(path: Path, pins: PinsFile) -> None:
    """A run over a thousand names asks some thousand times; what another process writes meanwhile counts at once."""
    pins.record(APP, ENTRY)
    pins.load()
    with mock.patch.object(PinsFile, "_content", side_effect=AssertionError("parsed again")):
        assert pins.load() == {APP: ENTRY}
        assert pins.entries_for(APP) == [ENTRY]
    PinsFile(path).record(OTHER, ANOTHER)
    assert pins.load() == {OTHER: ANOTHER, APP: ENTRY}
    path.write_text("[")
    with pytest.raises(SettingsUnusable):
        pins.load()
    path.unlink()
    assert pins.load() == {}


def test_held_pins_are_read_once_and_what_is_changed_meanwhile_is_kept(path: Path, pins: PinsFile) -> None:
    pins.record(APP, ENTRY)
    with pins.held():
        PinsFile(path).record(OTHER, ANOTHER)
        assert pins.load() == {APP: ENTRY}, "as it was when the run began"
        pins.replace(APP, ANOTHER)
        assert pins.load() == {APP: ANOTHER, OTHER: ANOTHER}, "what this run has changed, and nothing of others is lost"
    PinsFile(path).record(parse_gun("registry.example.com/third"), ENTRY)
    assert len(pins.load()) == 3
