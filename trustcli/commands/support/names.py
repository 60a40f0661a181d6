"""Read the names of wire formats from the command line."""

from __future__ import annotations

from trustcli.console.suggestion import one_of
from trustcli.errors import UsageError
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF


def parse_format(name: str) -> WireFormat:
    """Return the wire format that a value of `--format` means. Raises: UsageError."""
    formats: dict[str, WireFormat] = {"tuf": TUF, "notary": NOTARY}
    if name not in formats:
        raise UsageError(f"--format {name} is unknown{one_of(name, formats)}")
    return formats[name]
