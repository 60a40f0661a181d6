"""Compare the clock here with those of servers: expiry is judged with ours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from trustcli.doctor.findings import Finding
from trustcli.http.record import Exchange

_WRONG: Final = timedelta(minutes=5)


def check_clock(exchange: Exchange, at: datetime) -> Iterator[Finding]:
    """Return a finding about the time in an answer. `at`: the time here when the program started."""
    if exchange.response is None:
        return
    told = _date(exchange.response.first("date"))
    if told is None:
        yield Finding(check="clock", severity="note", text=f"{exchange.origin} does not say what time it is")
        return
    apart = abs(told - at)
    if apart <= _WRONG:
        yield Finding(check="clock", severity="ok", text=f"the clock here agrees with that of {exchange.origin}")
        return
    which = "behind" if told > at else "ahead of"
    yield Finding(
        check="clock",
        severity="wrong",
        text=f"the clock here ({at:%Y-%m-%d %H:%M} UTC) is {_span(apart)} {which} that of {exchange.origin} "
        f"({told:%Y-%m-%d %H:%M} UTC): what has expired may seem fresh, or the other way round",
        remedy="set the clock here (timedatectl set-ntp true), or tell the server's operator",
        place=str(exchange.origin),
    )


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
        return date.astimezone(UTC) if date.tzinfo is not None else date.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # the latter: a time before year 1 or after 9999, or an offset of years
        return None


def _span(span: timedelta) -> str:
    minutes = int(span.total_seconds()) // 60
    days = round(span / timedelta(days=1))  # an answer takes time: five days less a second are five
    return f"{minutes} minutes" if minutes < 120 else f"{minutes // 60} hours" if minutes < 2880 else f"{days} days"
