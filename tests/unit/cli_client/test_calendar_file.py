"""The calendar of what runs out, as RFC 5545 wants it and as calendars read it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from trustcli.commands.support.calendar_file import CalendarEvent, calendar

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
EVENT = CalendarEvent(
    identity=("r/app", "targets"),
    version=7,
    at=datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC),
    summary="targets of r/app expires",
    description="somebody signs it",
)


def lines(raw: bytes) -> list[str]:
    """The content lines, unfolded as 3.1 says."""
    assert raw.endswith(b"\r\n")
    assert b"\n" not in raw.replace(b"\r\n", b"")
    return raw.decode().replace("\r\n ", "").splitlines()


def value(raw: bytes, name: str) -> str:
    return next(line.partition(":")[2] for line in lines(raw) if line.startswith(f"{name}:"))


def test_one_event_with_an_alarm() -> None:
    uid = value(calendar([EVENT], at=AT), "UID")
    assert lines(calendar([EVENT], at=AT, before=timedelta(days=3))) == [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//content-trust//trust expiring//EN",
        "CALSCALE:GREGORIAN",
        "BEGIN:VEVENT",
        f"UID:{uid}",
        "DTSTAMP:20261101T120000Z",
        "SEQUENCE:7",
        "DTSTART:20270102T030405Z",
        "SUMMARY:targets of r/app expires",
        "DESCRIPTION:somebody signs it",
        "TRANSP:TRANSPARENT",
        "BEGIN:VALARM",
        "ACTION:DISPLAY",
        "TRIGGER:-P3D",
        "DESCRIPTION:targets of r/app expires",
        "END:VALARM",
        "END:VEVENT",
        "END:VCALENDAR",
    ]


def test_a_role_keeps_its_event_when_it_is_renewed() -> None:
    renewed = replace(EVENT, version=8, at=AT + timedelta(days=400), summary="another", description="text")
    assert value(calendar([renewed], at=AT), "UID") == value(calendar([EVENT], at=AT), "UID")
    others = [("r/app", "root"), ("r/other", "targets"), ("r/app/targets",), ("r/ap", "ptargets")]
    uids = {value(calendar([replace(EVENT, identity=other)], at=AT), "UID") for other in others}
    assert len(uids - {value(calendar([EVENT], at=AT), "UID")}) == len(others)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a, b; c", "a\\, b\\; c"),
        ("back\\slash", "back\\\\slash"),
        ("two\nlines", "two\\nlines"),
        ("a: b", "a: b"),
        ("half \udc80 a character", "half ? a character"),
    ],
)
def test_text_is_escaped(text: str, written: str) -> None:
    raw = calendar([replace(EVENT, summary=text, description=text)], at=AT)
    assert value(raw, "SUMMARY") == value(raw, "DESCRIPTION") == written


@pytest.mark.parametrize("character", ["x", "ä", "€", "🔑"])
def test_long_lines_are_folded_between_characters(character: str) -> None:
    """Of each length up to that of several lines, since the last byte of a line is where it goes wrong."""
    for length in range(60, 200):
        raw = calendar([replace(EVENT, summary=character * length)], at=AT)
        assert max(len(line) for line in raw.split(b"\r\n")) <= 75
        assert all(line.decode() for line in raw.removesuffix(b"\r\n").split(b"\r\n"))
        assert value(raw, "SUMMARY") == character * length


def test_a_calendar_without_events_is_one_all_the_same() -> None:
    """It must have a component, and takes the place of one whose events are over."""
    found = lines(calendar([], at=AT))
    assert found[4] == "BEGIN:VTIMEZONE"
    assert "BEGIN:VEVENT" not in found
    assert (found[0], found[-1]) == ("BEGIN:VCALENDAR", "END:VCALENDAR")


def test_a_version_that_no_calendar_can_count() -> None:
    assert value(calendar([replace(EVENT, version=2**40)], at=AT), "SEQUENCE") == str(2**31 - 1)
