"""Parse JSON strictly: text that two parsers could read differently is refused, and the error names the place.

Refused are duplicate members, floats and exponents, -0, integers of 2**53 and more, NaN and Infinity, lone surrogates,
control characters in strings, byte order marks, invalid UTF-8, text after the document, and deep nesting
(docs/adr/0002). Values and nesting are counted before anything is parsed (docs/adr/0054).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias, cast

import orjson

from keys.record import record
from trustdata.errors import MalformedMetadata, TooLarge
from trustdata.json_bounds import TooDeep, TooManyValues, count_values, outside_strings
from trustdata.limits import MAX_DEPTH, MAX_VALUES
from trustdata.roles import RoleName
from trustdata.wire.canonical_json import to_json

_MAX_INTEGER: Final = 2**53 - 1
_INTEGER_DIGITS: Final = 16
_LONGEST_INTEGER: Final = 20
"""Characters of an integer of 64 bits, with its sign. Longer ones are not even read as numbers."""
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
# For the text outside of strings: every digit becomes 0, every sign of a fraction, exponent or negative number !.
_NUMBER_CHARACTERS: Final = bytes.maketrans(b"123456789.E+-", b"000000000!!!!")
_SUSPECT: Final = (b"!", b"0e", b"0" * _INTEGER_DIGITS)


Path: TypeAlias = tuple[str | int, ...]
"""The names and indexes that lead to a value."""
Wide: TypeAlias = Callable[[Path, int], int | None]


@record
class _Refused:
    """A marker in the parsed tree at a place that must be refused, so that its path can be found afterwards.

    `integer`: the number that it stands for, if it is one of up to 20 characters.
    """

    reason: str
    integer: int | None = None


@record
class Parsed:
    """A parsed document.

    `value`: dicts, lists, text, integers, booleans, None; members in the order of the text. `canonical`: whether the
    text is the output of `to_json` for `value`.
    """

    value: object
    canonical: bool


def parse(role: RoleName, raw: bytes, *, values: int = MAX_VALUES, wide: Wide | None = None) -> Parsed:
    """Parse a document. `values`: how many it may hold at most.

    `wide`: returns what to take a large integer at a path for, or None to refuse it. Raises: MalformedMetadata,
    TooLarge.
    """
    try:
        count_values(raw, most=values)
    except TooManyValues as error:
        raise TooLarge(what=f"{role} metadata", limit=error.limit, unit="values") from error
    except TooDeep as error:
        raise MalformedMetadata(role=role, path="", reason=str(error)) from error
    return _parse_fast(raw) or Parsed(value=_parse_with_checks(role, raw, wide), canonical=False)


def _parse_fast(raw: bytes) -> Parsed | None:
    """Parse in one fast pass the text that the writers of both formats produce; return None for any other text.

    If a document serialises to exactly the same bytes, it has no duplicate members. Numbers are checked in the text
    outside of strings.
    """
    try:
        document: object = orjson.loads(raw)
        canonical = to_json(document) == raw
        unambiguous = canonical or orjson.dumps(document) == raw  # Notary v1 orders the members differently
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):  # orjson reads deeper nesting than it can write
        return None
    return Parsed(value=document, canonical=canonical) if unambiguous and _is_unambiguous(raw) else None


def _is_unambiguous(text: bytes) -> bool:
    """Return whether all numbers are integers that every parser reads alike."""
    if b"\\" in text.replace(b"\\n", b""):
        return False
    before = b""  # a number may be cut by the end of a chunk
    for outside in outside_strings(text):
        numbers = before + outside.translate(_NUMBER_CHARACTERS)
        if any(suspect in numbers for suspect in _SUSPECT):
            return False
        before = numbers[-_INTEGER_DIGITS:]
    return True


def _parse_with_checks(role: RoleName, raw: bytes, wide: Wide | None = None) -> object:
    try:
        document: object = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_members,
            parse_float=lambda text: _Refused(reason=f"{text[:20]} is not an integer"),
            parse_int=_integer,
            parse_constant=lambda text: _Refused(reason=f"{text} is not JSON"),
        )
    except UnicodeDecodeError as error:
        raise MalformedMetadata(role=role, path="", reason=f"not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        reason = f"not JSON: {error.msg} at line {error.lineno} column {error.colno}"
        raise MalformedMetadata(role=role, path="", reason=reason) from error
    except RecursionError as error:
        raise MalformedMetadata(role=role, path="", reason=f"nested deeper than {MAX_DEPTH}") from error
    for path, refused in _refusals(document, ()):
        if wide is not None and refused.integer is not None:
            taken = wide(path, refused.integer)
            if taken is not None:
                _replace(document, path, taken)
                continue
        raise MalformedMetadata(role=role, path=_place(path), reason=refused.reason)
    return document


def _members(pairs: list[tuple[str, object]]) -> object:
    members = dict(pairs)
    if len(members) != len(pairs):
        duplicate = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        return _Refused(reason=f"member {duplicate[:100]!r} occurs twice")
    return members


def _integer(text: str) -> object:
    if len(text) > _LONGEST_INTEGER or text == "-0":
        return _Refused(reason=f"{text[:20]} is not an integer below 2**53")
    number = int(text)
    return (
        number
        if abs(number) <= _MAX_INTEGER
        else _Refused(reason=f"{text} is not an integer below 2**53", integer=number)
    )


def _replace(document: object, path: Path, value: int) -> None:
    """Put a number in the place of a marker. Markers stand in objects and arrays."""
    *parents, last = path
    for name in parents:
        document = cast("dict[str | int, object]", document)[name]
    cast("dict[str | int, object]", document)[last] = value


def _refusals(value: object, path: Path) -> Iterator[tuple[Path, _Refused]]:
    if isinstance(value, _Refused):
        yield path, value
    elif isinstance(value, str):
        if _SURROGATE.search(value):
            yield path, _Refused(reason="holds a lone surrogate")
    elif isinstance(value, dict | list):
        children = value.items() if isinstance(value, dict) else enumerate(value)
        for name, child in list(children):  # what is refused may be replaced meanwhile
            if isinstance(name, str) and _SURROGATE.search(name):
                yield path, _Refused(reason="holds a lone surrogate in a member's name")
            if isinstance(child, _Refused | str | dict | list):
                yield from _refusals(child, (*path, name))


def _place(path: Path) -> str:
    """Return a path as text.

    Only the path of an error is converted to text: a long name above many elements would be copied for each of them.
    """
    place = ""
    for name in path:
        place = f"{place}[{name}]" if isinstance(name, int) else f"{place}.{name}" if place else name
    return place
