r"""Canonical JSON (the OLPC form; TUF specification 1.0, section 4.2.1): the input of signatures and key ids.

Members are sorted, there is no white space, and only `"` and `\` are escaped: every other character, also a newline, is
written unchanged. So it is not valid JSON if a string holds a control character, as the text of a PEM key does.
"""

from __future__ import annotations

from typing import Final

import orjson

_NO_UTF8: Final = b"\xff"
_ESCAPED: Final = {b"\\b": b"\x08", b"\\f": b"\x0c", b"\\n": b"\n", b"\\r": b"\r", b"\\t": b"\t"}
_CONTROLS: Final = {b"\\u%04x" % c: bytes([c]) for c in range(0x20)}


def to_json(value: object) -> bytes:
    """Encode a value as valid JSON in canonical order, the form in which our files are written.

    `value`: dicts with text keys, lists, text, integers below 2**53, booleans and None.
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def from_json(text: bytes) -> bytes:
    """Convert the output of `to_json` to canonical JSON.

    By whole replacements: a substitution for each escape would take many times the memory of a text full of escapes.
    """
    if b"\\" not in text:
        return text
    text = text.replace(b"\\\\", _NO_UTF8)  # every other backslash begins an escape
    for escape, character in (_ESCAPED | (_CONTROLS if b"\\u" in text else {})).items():
        text = text.replace(escape, character)
    return text.replace(_NO_UTF8, b"\\\\")


def encode(value: object) -> bytes:
    """Encode a value as canonical JSON. It may have the same types as for `to_json`."""
    return from_json(to_json(value))
