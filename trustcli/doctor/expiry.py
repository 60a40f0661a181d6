"""Check what has expired or will soon: owners must renew offline roles, the server renews online roles."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from keys.keyid import short_keyid
from trustcli.doctor.findings import Finding
from trustcli.doctor.look import Look
from trustdata.counting import counted
from trustdata.due import LOOK_AHEAD, URGENT, late_online_roles, within
from trustdata.envelope import Envelope
from trustdata.errors import shown
from trustdata.lifetimes import outlives
from trustdata.roles import ONLINE, ROOT, TARGETS, is_delegated
from trustdata.verification import checks

_CLOCKS_APART: Final = timedelta(hours=1)
"""How far the clock that signed an online role may be ahead of the one here before it is said."""


def check_expiry(look: Look, at: datetime) -> Iterator[Finding]:
    """Return one finding for each role that must be renewed or lives too long, or a single one if there is none."""
    if look.lifetimes is None:
        return
    late = late_online_roles(look.roles, look.lifetimes, at=at)
    found = [
        finding
        for role, envelope in look.roles.items()
        for finding in (
            _online(envelope, look.lifetimes.of(role), at, late=role in late)
            if role in ONLINE
            else _offline(look, envelope, at)
        )
    ]
    yield from found
    if not found:
        offline = [envelope for role, envelope in look.roles.items() if role not in ONLINE]
        first = min(offline, key=lambda envelope: envelope.expires)
        text = f"the first role to expire is {shown(first.role)}, on {first.expires:%Y-%m-%d}"
        yield Finding(check="expiry", severity="ok", text=text)


def _online(envelope: Envelope, lifetime: timedelta, at: datetime, *, late: bool) -> Iterator[Finding]:
    if outlives(envelope.expires, lifetime + _CLOCKS_APART, at=at):
        yield Finding(
            check="expiry",
            severity="wrong",
            text=f"{envelope.role} version {envelope.version} is valid until {envelope.expires:%Y-%m-%d %H:%M} UTC, "
            f"more than {lifetime.days} days from now: the clock that signed it was ahead, or the clock here is behind",
            remedy="see that the clock here is right; else tell the server's operator, who has a guide for it",
        )
    if not late:
        return
    yield Finding(
        check="expiry",
        severity="wrong",
        text=f"{envelope.role} version {envelope.version} expires on {envelope.expires:%Y-%m-%d %H:%M} UTC and should "
        "have been renewed by the server: without that, every image of the collection is refused from then on",
        remedy="tell the server's operator: its log and /metrics say why renewal fails",
    )


def _offline(look: Look, envelope: Envelope, at: datetime) -> Iterator[Finding]:
    if not within(LOOK_AHEAD, at=at)(envelope):
        return
    remaining = envelope.expires - at
    role = shown(envelope.role)
    keys = ", ".join(short_keyid(keyid) for keyid in _keys(look, envelope))
    when = f"{envelope.expires:%Y-%m-%d}"
    text = f"{role} version {envelope.version} "
    text += (
        f"expired on {when}" if remaining <= timedelta(0) else f"expires on {when}, in {counted(remaining.days, 'day')}"
    )
    yield Finding(
        check="expiry",
        severity="wrong" if within(URGENT, at=at)(envelope) else "note",
        text=f"{text}; it can be signed by {keys or 'whoever its delegator names'}",
        remedy=f"trust renew {look.gun}, where one of these keys is",
    )


def _keys(look: Look, envelope: Envelope) -> list[str]:
    """Return the ids of the keys that can sign the role's next version."""
    root = look.roles[ROOT].root
    by = root if not is_delegated(envelope.role) else look.roles[TARGETS].targets
    return by.get_delegated_role(envelope.role).keyids if checks.is_delegator_of(by, envelope.role) else []
