"""Write a calendar file (RFC 5545) in which each role that runs out is one event, for those who live by a calendar.

The event of a role has the same UID in every file. So a calendar that imports a later file moves the event when the
role was renewed, and does not get a second one. Lines end with CRLF and have at most 75 bytes; a longer one goes on
behind a space.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from trustdata.due import URGENT

_MOST_BYTES: Final = 75
_HIGHEST_SEQUENCE: Final = 2**31 - 1
_ESCAPES: Final = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n"})
_BEGIN: Final = (
    "BEGIN:VCALENDAR",
    "VERSION:2.0",
    "PRODID:-//content-trust//trust expiring//EN",
    "CALSCALE:GREGORIAN",
)
_NOTHING: Final = (
    "BEGIN:VTIMEZONE",
    "TZID:Etc/UTC",
    "BEGIN:STANDARD",
    "DTSTART:19700101T000000",
    "TZOFFSETFROM:+0000",
    "TZOFFSETTO:+0000",
    "END:STANDARD",
    "END:VTIMEZONE",
)
"""A component that says nothing: a calendar must have one (3.6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarEvent:
    """One event. `identity`: texts by which it is the same event in every file. `version`: greater after each change.

    `summary`, `description`: escaped and cut already, as everything that is shown; a description may have lines.
    """

    identity: tuple[str, ...]
    version: int
    at: datetime
    summary: str
    description: str


def calendar(events: Iterable[CalendarEvent], *, at: datetime, before: timedelta = URGENT) -> bytes:
    """Return the calendar file. `at`: when it is written. `before`: how long before each event an alarm is shown."""
    found = [line for event in events for line in _event(event, at, before)]
    lines = [*_BEGIN, *(found or _NOTHING), "END:VCALENDAR"]
    return b"".join(_folded(line) for line in lines)


def _event(event: CalendarEvent, at: datetime, before: timedelta) -> Iterator[str]:
    identity = hashlib.sha256("\0".join(event.identity).encode()).hexdigest()[:32]
    summary = event.summary.translate(_ESCAPES)
    yield "BEGIN:VEVENT"
    yield f"UID:{identity}@content-trust"
    yield f"DTSTAMP:{_time(at)}"
    yield f"SEQUENCE:{min(event.version, _HIGHEST_SEQUENCE)}"
    yield f"DTSTART:{_time(event.at)}"
    yield f"SUMMARY:{summary}"
    yield f"DESCRIPTION:{event.description.translate(_ESCAPES)}"
    yield "TRANSP:TRANSPARENT"
    yield "BEGIN:VALARM"
    yield "ACTION:DISPLAY"
    yield f"TRIGGER:-P{before.days}D"
    yield f"DESCRIPTION:{summary}"
    yield "END:VALARM"
    yield "END:VEVENT"


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _folded(line: str) -> bytes:
    """Return a line as it stands in the file (3.1): no character is cut in two, and the space counts, too."""
    pieces, piece = [], b""
    for character in line:
        encoded = character.encode(errors="replace")
        if len(piece) + len(encoded) > _MOST_BYTES:
            pieces.append(piece)
            piece = b" "
        piece += encoded
    return b"\r\n".join([*pieces, piece]) + b"\r\n"
