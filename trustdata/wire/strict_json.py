"""JSON read strictly: what two parsers could understand differently is refused, with the place named.

Refused: duplicate members, floats and exponents, -0, integers of 2**53 and more, NaN and Infinity, lone surrogates,
control characters in strings, byte order marks, invalid UTF-8, anything after the document, deep nesting.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import orjson

from trustdata.errors import MalformedMetadata
from trustdata.limits import MAX_DEPTH
from trustdata.roles import RoleName
from trustdata.wire.canonical_json import to_json

_MAX_INTEGER: Final = 2**53 - 1
_INTEGER_DIGITS: Final = 16
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
# What stands outside strings, every digit as 0 and every sign of a fraction, an exponent or a negative number as !.
_NUMBERS: Final = bytes.maketrans(b"123456789.E+-", b"000000000!!!!")
_SUSPECT: Final = (b"!", b"0e", b"0" * _INTEGER_DIGITS)
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(c for c in range(256) if c not in b"{}[]")


_Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class _Refused:
    """Stands in the parsed tree where something must be refused, so that the walk can name its path."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """`value`: dicts, lists, text, integers, booleans, None; members in the order of the text.

    `canonical`: its canonical form is what was parsed. `vouched`: what a grammar of the caller's has taken upon itself.
    """

    value: object
    canonical: bool
    vouched: slice | None = None


Grammar: TypeAlias = Callable[[object, bytes], slice | None]
"""Given a document and the very text that it serialises to: a part of the latter in which no number and no nesting
needs judging."""


def parse(role: RoleName, raw: bytes, grammar: Grammar | None = None) -> Parsed:
    """Read a document. Raises: MalformedMetadata."""
    return _parse_faithful(raw, grammar) or Parsed(value=_parse_checking(role, raw), canonical=False)


def _parse_faithful(raw: bytes, grammar: Grammar | None = None) -> Parsed | None:
    """One fast pass for what the writers of both formats produce; None when it cannot vouch for the input.

    A document that serialises to exactly the bytes that it came from has no duplicate members; numbers and nesting
    are judged on what stands outside its strings, and outside what the grammar vouches for.
    """
    try:
        document: object = orjson.loads(raw)
        canonical = to_json(document) == raw
        faithful = canonical or orjson.dumps(document) == raw  # Notary v1 has its members in another order
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):  # it writes less deep nesting than it reads
        return None
    if not faithful:
        return None
    vouched = grammar(document, raw) if grammar else None
    doubtful = raw if vouched is None else raw[: vouched.start] + raw[vouched.stop :]
    return Parsed(value=document, canonical=canonical, vouched=vouched) if _is_harmless(doubtful) else None


def _is_harmless(text: bytes) -> bool:
    """Whether every number is an integer that every parser reads alike, and nothing is nested deeper than allowed."""
    without_newlines = text.replace(b"\\n", b"")
    if b"\\" in without_newlines:
        return False
    outside = b"".join(without_newlines.split(b'"')[::2])
    numbers = outside.translate(_NUMBERS)
    return not any(suspect in numbers for suspect in _SUSPECT) and _is_shallow(outside)


def _is_shallow(outside: bytes) -> bool:
    brackets = outside.translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return True
        brackets = brackets.replace(b"[]", b"")  # one level of nesting, whatever its kind
    return not brackets


def _parse_checking(role: RoleName, raw: bytes) -> object:
    try:
        document: object = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_members,
            parse_float=lambda text: _Refused(f"{text[:20]} is not an integer"),
            parse_int=_integer,
            parse_constant=lambda text: _Refused(f"{text} is not JSON"),
        )
    except UnicodeDecodeError as error:
        raise MalformedMetadata(role=role, path="", reason=f"not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        reason = f"not JSON: {error.msg} at line {error.lineno} column {error.colno}"
        raise MalformedMetadata(role=role, path="", reason=reason) from error
    except RecursionError as error:
        raise MalformedMetadata(role=role, path="", reason=f"nested deeper than {MAX_DEPTH}") from error
    for path, refused in _refusals(document, (), 0):
        raise MalformedMetadata(role=role, path=_place(path), reason=refused)
    return document


def _members(pairs: list[tuple[str, object]]) -> object:
    members = dict(pairs)
    if len(members) != len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        return _Refused(f"member {twice[:100]!r} occurs twice")
    return members


def _integer(text: str) -> object:
    if len(text) > _INTEGER_DIGITS + 1 or text == "-0":
        return _Refused(f"{text[:20]} is not an integer below 2**53")
    number = int(text)
    return number if abs(number) <= _MAX_INTEGER else _Refused(f"{text} is not an integer below 2**53")


def _refusals(value: object, path: _Path, depth: int) -> Iterator[tuple[_Path, str]]:
    if isinstance(value, _Refused):
        yield path, value.reason
    elif isinstance(value, str):
        if _SURROGATE.search(value):
            yield path, "holds a lone surrogate"
    elif isinstance(value, dict | list) and depth >= MAX_DEPTH:
        yield path, f"nested deeper than {MAX_DEPTH}"
    elif isinstance(value, dict | list):
        children = value.items() if isinstance(value, dict) else enumerate(value)
        for name, child in children:
            if isinstance(name, str) and _SURROGATE.search(name):
                yield path, "holds a lone surrogate in a member's name"
            if isinstance(child, _Refused | str | dict | list):
                yield from _refusals(child, (*path, name), depth + 1)


def _place(path: _Path) -> str:
    """Written out only for what is refused: a long name above many elements would cost its length for each of them."""
    place = ""
    for name in path:
        place = f"{place}[{name}]" if isinstance(name, int) else f"{place}.{name}" if place else name
    return place
