r"""Count the values of a JSON text in its bytes, before any parser reads it.

A parsed text takes up to 67 times its size: a list of two bytes takes 64, an object of five 232. So the memory that
a text may take is bounded by what is counted here, and not by its length (docs/adr/0054).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from trustdata.limits import MAX_DEPTH

_CHUNK: Final = 64 * 1024
"""Bytes that are looked at in one go, so that counting takes little memory itself, whatever the text holds."""
_STRUCTURE: Final = b'{}[],:"'
_NO_STRUCTURE: Final = bytes(c for c in range(256) if c not in _STRUCTURE)
_NO_OPENING: Final = bytes(c for c in range(256) if c not in b"{[,:")
_BRACES_TO_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_OBJECT_WEIGHT: Final = 3


class Excess(ValueError):
    """A text has more values than a limit allows, or is nested deeper."""


class TooManyValues(Excess):
    """A text has more values than a limit allows. `limit`: the number of values."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"holds more than {limit} values")
        self.limit = limit


class TooDeep(Excess):
    """A text is nested deeper than a limit allows. `limit`: the number of levels."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"nested deeper than {limit}")
        self.limit = limit


class Counted(NamedTuple):
    """What a JSON text holds.

    `values`: elements, members, and three for each object. `members`: those of all objects.
    """

    values: int
    members: int


def count_values(text: bytes, *, most: int, depth: int = MAX_DEPTH) -> Counted:
    """Return the number of values in a JSON text, and how many of them are members.

    Counted are the characters that begin or separate values, outside of strings, so the text need not be valid; up to
    the place where it stops to be, a parser makes no more values than are counted. An object counts as three, because
    it takes as much memory. Counting stops at the first chunk that has too many.

    `most`: the highest number of values. `depth`: the highest number of levels.
    Raises: TooManyValues, TooDeep.
    """
    values = members = level = 0
    for marks in outside_strings(text, _NO_STRUCTURE):
        objects, closed = marks.count(b"{"), marks.count(b"]") + marks.count(b"}")
        opened = objects + marks.count(b"[")
        if level + opened > depth and not _is_shallow(marks, level, depth):
            raise TooDeep(depth)
        level = max(level + opened - closed, 0)
        values += len(marks) - closed + (_OBJECT_WEIGHT - 1) * objects
        if values > most:
            raise TooManyValues(most)
        members += marks.count(b":")
    return Counted(values, members)


def most_values(text: bytes) -> int:
    """Return a number that the values of `count_values` do not exceed, in a third of its time.

    It counts inside of strings too.
    """
    marks = text.translate(None, _NO_OPENING)
    return len(marks) + (_OBJECT_WEIGHT - 1) * marks.count(b"{")


def outside_strings(text: bytes, dropped: bytes = b"") -> Iterator[bytes]:
    """Yield what is outside of the strings of a JSON text, for one chunk after the other.

    `dropped`: the characters that are left out; no quote.
    """
    carried = b""  # the beginning of an escape whose end is in the next chunk
    inside = False
    for start in range(0, len(text), _CHUNK):
        chunk = carried + text[start : start + _CHUNK]
        carried = b""
        if b"\\" in chunk:
            if (len(chunk) - len(chunk.rstrip(b"\\"))) % 2:
                chunk, carried = chunk[:-1], b"\\"
            chunk = chunk.replace(b"\\\\", b"").replace(b'\\"', b"")
        kept = chunk.translate(None, dropped)
        # A string that the chunk cuts gets another quote, so that the chunk begins and ends outside of strings.
        if inside:
            kept = b'"' + kept
        inside = kept.count(b'"') % 2 == 1
        if inside:
            kept += b'"'
        # Two quotes that touch are usually an empty string. If none is left when such pairs are gone, every character
        # that is left had an even number of quotes before it: it was in no string.
        bare = kept.replace(b'""', b"")
        yield b"".join(kept.split(b'"')[::2]) if b'"' in bare else bare


def _is_shallow(marks: bytes, level: int, depth: int) -> bool:
    """Return whether the text is nested no deeper than `depth` in a chunk that begins at `level`."""
    brackets = marks.translate(_BRACES_TO_BRACKETS, b",:")
    brackets = b"[" * level + brackets
    brackets += b"]" * (brackets.count(b"[") - brackets.count(b"]"))
    for _ in range(depth):
        if not brackets:
            return True
        brackets = brackets.replace(b"[]", b"")  # removes the innermost level of nesting
    return not brackets or brackets.startswith(b"]")  # closes what was never opened: a parser reads no further
