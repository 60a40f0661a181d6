"""Check the project's lock file, if there is one; whether it agrees with the server, `check_collection` finds out."""

from __future__ import annotations

from collections.abc import Iterator

from trustcli.doctor.findings import Finding
from trustcli.session import Session
from trustdata.counting import counted
from trustdata.gun import GUN
from trustdata.verification.trust_pinning import Pin

_CHECK = "lock"


def check_lock_file(session: Session, gun: GUN | None) -> Iterator[Finding]:
    """Return the findings about the lock file.

    Raises: LockDamaged, SettingsUnusable (the lock file that was named does not exist, or the pins cannot be read).
    """
    path = session.settings.lock
    if path is None:
        return
    locks = session.locks
    if gun is None:
        yield Finding(check=_CHECK, severity="ok", text=f"{path} locks {counted(len(locks), 'name')}", place=str(path))
        return
    if gun not in locks:
        text = f"{path} does not lock {gun}: a machine that remembers nothing has neither pin nor minimum from it"
        yield Finding(check=_CHECK, severity="note", text=text, remedy=f"trust lock {gun}", place=str(path))
        return
    entry = locks[gun].entry
    pin = session.pins.load().get(gun)
    if entry.root_version == 1 and pin is not None and pin.pin.kind == "sha256" and pin.how != "pin":
        yield from _compared(gun, entry.root, pin.pin, str(path))
        return
    text = f"{path} locks {gun} at root version {entry.root_version}"
    yield Finding(check=_CHECK, severity="ok", text=text, place=str(path))


def _compared(gun: GUN, locked: Pin, pinned: Pin, place: str) -> Iterator[Finding]:
    """Return whether lock file and pin agree; both are of the first root, so no server is needed to compare them."""
    if locked == pinned:
        text = f"{place} locks {gun} at the root that is pinned here"
        yield Finding(check=_CHECK, severity="ok", text=text, place=place)
        return
    yield Finding(
        check=_CHECK,
        severity="wrong",
        text=f"{place} locks {gun} at the root {locked}, the pin here is {pinned}",
        remedy=f"ask the publisher which is right; if the lock file is wrong: trust lock --replace {gun}",
        place=place,
    )
