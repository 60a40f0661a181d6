r"""Canonical JSON (OLPC form, TUF specification 4.2.1): what signatures and key ids are computed over.

Sorted members, no whitespace, only `"` and `\` escaped: every other character, newlines included, stands raw. That
makes it differ from any valid JSON text as soon as a string holds a control character (a PEM key does).
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
    """Valid JSON in canonical order: what our writers put on the wire.

    `value` holds dicts with text keys, lists, text, integers below 2**53, booleans and None.
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def from_json(text: bytes) -> bytes:
    """The canonical form of what `to_json` has given."""
    return _ESCAPE.sub(_unescape, text) if b"\\" in text else text


def encode(value: object) -> bytes:
    """The canonical form of `value` (the same types as `to_json`)."""
    return from_json(to_json(value))
