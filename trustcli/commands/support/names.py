"""Read the names of wire formats from the command line."""

from __future__ import annotations

from trustcli.errors import UsageError
from trustcli.session import Session
from trustdata.gun import GUN
from trustdata.suggestion import one_of
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF


def known_names(session: Session) -> list[GUN]:
    """Return the names that are pinned here, and those of a pinned pattern that were seen here, sorted.

    Raises: SettingsUnusable (`pins.toml` cannot be read), MemoryDamaged, FileNewer.
    """
    pinned = session.pinned_names()
    if not session.pins.patterns():
        return pinned
    known = session.pins.load()
    seen = [gun for gun in session.memory.names() if gun not in known and session.pins.pattern_for(gun) is not None]
    return sorted({*pinned, *seen})


def parse_format(name: str) -> WireFormat:
    """Return the wire format that a value of `--format` means. Raises: UsageError."""
    formats: dict[str, WireFormat] = {"tuf": TUF, "notary": NOTARY}
    if name not in formats:
        raise UsageError(f"--format {name} is unknown{one_of(name, formats)}")
    return formats[name]
