"""The wire formats by name, to look up a name from a pin or from storage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trustdata.errors import InvalidName
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

FORMATS: Final[Mapping[str, WireFormat]] = {TUF.name: TUF, NOTARY.name: NOTARY}


def wire_named(name: str) -> WireFormat:
    """Return the wire format with this name. Raises: InvalidName."""
    try:
        return FORMATS[name]
    except KeyError as error:
        raise InvalidName(kind="format", name=name, reason=f"must be one of {', '.join(FORMATS)}") from error
