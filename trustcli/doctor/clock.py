"""Compare the clock here with those of servers: expiry is judged with ours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from trustcli.doctor.findings import Finding
from trustcli.http.record import Exchange
from trustcli.http.server_time import clock_difference, told_time


def check_clock(exchange: Exchange, at: datetime) -> Iterator[Finding]:
    """Return a finding about the time in an answer. `at`: the time here when the program started."""
    if exchange.response is None:
        return
    told = told_time(exchange.response.first("date"))
    if told is None:
        yield Finding(check="clock", severity="note", text=f"{exchange.origin} does not say what time it is")
        return
    apart = clock_difference(told, at)
    if not apart:
        yield Finding(check="clock", severity="ok", text=f"the clock here agrees with that of {exchange.origin}")
        return
    yield Finding(
        check="clock",
        severity="wrong",
        text=f"the clock here ({at:%Y-%m-%d %H:%M} UTC) is {apart} that of {exchange.origin} "
        f"({told:%Y-%m-%d %H:%M} UTC): what has expired may seem fresh, or the other way round",
        remedy="set the clock here (timedatectl set-ntp true), or tell the server's operator",
        place=str(exchange.origin),
    )
