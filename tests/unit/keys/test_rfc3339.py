"""The one form of times in files, JSON and logs."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from keys.rfc3339 import from_rfc3339, to_rfc3339

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_it_is_in_utc_and_has_no_fractions() -> None:
    assert to_rfc3339(AT) == "2026-01-02T03:04:05Z"
    assert to_rfc3339(AT.astimezone(timezone(timedelta(hours=9)))) == "2026-01-02T03:04:05Z"
    assert to_rfc3339(AT + timedelta(microseconds=999_999)) == "2026-01-02T03:04:05Z"
    assert from_rfc3339(to_rfc3339(AT)) == AT


def test_the_time_zone_of_the_machine_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XXX-9")
    time.tzset()
    try:
        assert to_rfc3339(AT) == "2026-01-02T03:04:05Z"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["", "2026-01-02", "2026-01-02T03:04:05", "2026-01-02T03:04:05+00:00", "soon"])
def test_no_other_form_is_read(text: str) -> None:
    with pytest.raises(ValueError, match="does not match"):
        from_rfc3339(text)
