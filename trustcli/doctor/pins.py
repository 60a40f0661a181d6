"""Check the pins: can they be read, who may change them, and do they agree with rollback memory?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from trustcli.client.pin_memory import agrees_with_memory
from trustcli.doctor.findings import Finding
from trustcli.session import Session
from trustcli.state.pins import PinEntry
from trustdata.gun import GUN

_CHECK = "pins"


def check_pins(session: Session, gun: GUN | None) -> Iterator[Finding]:
    """Return the findings about all pins, or about one name's.

    Raises: SettingsUnusable (a damaged file), FileExposed (others may change it), MemoryDamaged.
    """
    place = session.settings.home / "pins.toml"
    pins = session.pins.load()
    if gun is not None and gun not in pins:
        yield from _unpinned(session, gun, str(place))
        return
    checked = {gun: pins[gun]} if gun is not None else pins
    wrong = 0
    for name, entry in checked.items():
        if not _agrees(session, name, entry):
            wrong += 1
            yield Finding(
                check=_CHECK,
                severity="wrong",
                text=f"{name} is pinned to {entry.pin}, and rollback memory is of another root of trust",
                remedy=f"ask the publisher which root is right, then trust pin {name} REF{_named(entry)} --replace",
                place=str(place),
            )
    if not wrong:
        what = _stated(gun, pins[gun]) if gun is not None else _counted(len(pins), len(session.pins.patterns()))
        yield Finding(check=_CHECK, severity="ok", text=what, place=str(place))


def _stated(gun: GUN, entry: PinEntry) -> str:
    alias = f", as an alias of {entry.named}" if entry.named else ""
    return f"{gun} is pinned to {entry.pin} ({entry.how}){alias}"


def _named(entry: PinEntry) -> str:
    return f" --named {entry.named}" if entry.named else ""


def _counted(names: int, patterns: int) -> str:
    counted = f"{names} {'name is' if names == 1 else 'names are'} pinned" if names else "no name is pinned"
    return f"{counted}, and {patterns} {'pattern' if patterns == 1 else 'patterns'}" if patterns else counted


def _unpinned(session: Session, gun: GUN, place: str) -> Iterator[Finding]:
    if session.settings.pin:
        text = f"{gun} is pinned for this call only ({session.settings.pin})"
        yield Finding(check=_CHECK, severity="ok", text=text, place="--pin or TRUST_PIN")
    elif gun in session.locks:
        text = f"{gun} is pinned by the lock file alone"
        yield Finding(check=_CHECK, severity="ok", text=text, place=session.locks[gun].source)
    elif (fitting := session.pins.pattern_for(gun)) is not None:
        pattern, entry = fitting
        text = f"{gun} has no pin of its own, and is pinned to {entry.pin} by {pattern}"
        yield Finding(check=_CHECK, severity="ok", text=text, place=place)
    else:
        yield Finding(
            check=_CHECK,
            severity="wrong",
            text=f"{gun} is pinned nowhere: nothing here says where trust in it begins",
            remedy=f"trust pin {gun} REF, with the fingerprint that the publisher gives you",
            place=place,
        )


def _agrees(session: Session, gun: GUN, entry: PinEntry) -> bool:
    name = entry.named or gun
    return agrees_with_memory(entry, session.memory.load(name), partial(session.cache, name))
