"""Durations as users type them, read and shown."""

from __future__ import annotations

from datetime import timedelta

import pytest

from trustdata.duration import parse_duration, typed_duration


@pytest.mark.parametrize(
    ("typed", "shown"),
    [("90s", "90s"), ("60s", "1m"), ("90m", "90m"), ("120m", "2h"), ("24h", "1d"), ("36h", "36h"), ("400d", "400d")],
)
def test_what_is_shown_can_be_typed(typed: str, shown: str) -> None:
    assert typed_duration(parse_duration(typed)) == shown
    assert parse_duration(shown) == parse_duration(typed)


def test_odd_spans() -> None:
    assert typed_duration(timedelta()) == "0s"
    assert typed_duration(timedelta(seconds=1.9)) == "1s"


@pytest.mark.parametrize("text", ["", "1", "h", "1w", "-1h", "1.5h", "1h "])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="no span of time"):
        parse_duration(text)


def test_a_span_of_too_many_digits_is_told_as_such() -> None:
    with pytest.raises(ValueError, match="'1000000d' is too long: a number may have 6 digits"):
        parse_duration("1000000d")
