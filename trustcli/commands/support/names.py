"""Read names from the command line: of collections and of wire formats."""

from __future__ import annotations

from trustcli.errors import UsageError
from trustcli.registry.reference import parse_reference
from trustdata.gun import GUN
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF


def collection_names(names: list[str]) -> list[GUN]:
    """Return the names of collections; a tag or digest is refused. Raises: UsageError, InvalidName."""
    references = [parse_reference(name) for name in names]
    for reference in references:
        if reference.tag or reference.digest:
            raise UsageError(f"a collection is named without tag or digest: {reference.gun}")
    return [reference.gun for reference in references]


def parse_format(name: str) -> WireFormat:
    """Return the wire format that a value of `--format` means. Raises: UsageError."""
    formats: dict[str, WireFormat] = {"tuf": TUF, "notary": NOTARY}
    if name not in formats:
        raise UsageError(f"--format {name} is unknown; write one of {', '.join(formats)}")
    return formats[name]
