"""Read the outer header of DER: where the first element of some bytes ends. A library reads what is inside."""

from __future__ import annotations

from typing import Final

_SEQUENCE: Final = 0x30
_LONG_FORM: Final = 0x80
_MAX_WIDTH: Final = 4


def is_one_sequence(der: bytes) -> bool:
    """Return whether the bytes are exactly one DER SEQUENCE, judged by its outer length."""
    return bool(der) and sequence_length(der) == len(der)


def sequence_length(der: bytes) -> int:
    """Return the length of the DER SEQUENCE at the start of the bytes, with its header; 0 if none is there."""
    if len(der) < 2 or der[0] != _SEQUENCE:
        return 0
    if der[1] < _LONG_FORM:
        return 2 + der[1]
    width = der[1] - _LONG_FORM
    return 2 + width + int.from_bytes(der[2 : 2 + width]) if 0 < width <= _MAX_WIDTH else 0


def within(der: bytes) -> bytes:
    """Return the bytes behind the header of what DER, or BER of unknown length, begins with; b"" if there are none."""
    return der[2 + max(der[1] - _LONG_FORM, 0) :] if len(der) > 2 else b""


def behind(der: bytes) -> bytes:
    """Return the bytes that follow the DER SEQUENCE that the bytes begin with; b"" if they begin with no such."""
    length = sequence_length(der)
    return der[length:] if length else b""
