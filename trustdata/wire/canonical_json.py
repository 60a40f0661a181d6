r"""Canonical JSON (the OLPC form; TUF specification 1.0, section 4.2.1): the input of signatures and key ids.

Members are sorted, there is no white space, and only `"` and `\` are escaped: every other character, also a newline, is
written unchanged. So it is not valid JSON if a string holds a control character, as the text of a PEM key does.
"""

from __future__ import annotations

import re

import orjson

_ESCAPE = re.compile(rb'\\(["\\]|[bfnrt]|u00[0-9a-f]{2})')
_RAW = {b"b": b"\x08", b"f": b"\x0c", b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def _unescape(match: re.Match[bytes]) -> bytes:
    escape = match[1]
    if escape in (b'"', b"\\"):
        return match[0]
    return _RAW.get(escape) or bytes([int(escape[1:], 16)])


def to_json(value: object) -> bytes:
    """Encode a value as valid JSON in canonical order, the form in which our files are written.

    `value`: dicts with text keys, lists, text, integers below 2**53, booleans and None.
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def from_json(text: bytes) -> bytes:
    """Convert the output of `to_json` to canonical JSON."""
    return _ESCAPE.sub(_unescape, text) if b"\\" in text else text


def encode(value: object) -> bytes:
    """Encode a value as canonical JSON. It may have the same types as for `to_json`."""
    return from_json(to_json(value))
