r"""Parse the TOML of files that other people may have written, such as a project's lock file.

Python's parser takes up to half a kilobyte for each part of a dotted key, and time that grows with the square of their
number: it had not ended after a minute with one of 16 MB. So what makes values is counted first, outside of strings and
comments.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any, Final

MAX_VALUES: Final = 400_000
"""The highest number of values: assignments, array elements, and three for each table, array and further part of a key,
since those take as much. A collection in a lock file has about twenty. So many take at most 140 MB."""
MAX_KEY_PARTS: Final = 64
"""The highest number of dots outside of strings in one line; keys and their tables have two."""
_MARKS: Final = 4 * MAX_VALUES
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
"""How text in UTF-16 begins, in both byte orders."""

_STRING_OR_COMMENT: Final = (
    r'"""(?:[^"\\]++|\\.|"{1,2}(?!"))*+"{3,5}'
    r"|'''(?:[^']++|'{1,2}(?!'))*+'{3,5}"
    r'|"(?:[^"\\\n]++|\\.)*+"'
    r"|'[^'\n]*+'"
    r"|#[^\n]*+"
)


def loads(content: str | bytes) -> dict[str, Any]:
    """Parse a document whose values are counted first. Raises: ValueError, for whatever is wrong; RecursionError."""
    text = _decoded(content) if isinstance(content, bytes) else content
    if text.startswith("\ufeff"):
        raise ValueError("begins with a byte order mark; save it as UTF-8 without one")
    if sum(map(text.count, "\"'#")) > _MARKS:
        raise ValueError(f"holds more than {_MARKS} strings and comments")
    structure = re.sub(_STRING_OR_COMMENT, "", text, flags=re.DOTALL)  # compiled at first use: not at every start
    if sum(map(structure.count, ",{=")) + 3 * sum(map(structure.count, ".[")) > MAX_VALUES:
        raise ValueError(f"holds more than {MAX_VALUES} values")
    for number, line in enumerate(structure.splitlines(), 1):
        if line.count(".") > MAX_KEY_PARTS:
            raise ValueError(f"has a key of more than {MAX_KEY_PARTS} parts (at line {number})")
    return tomllib.loads(text)


def _decoded(content: bytes) -> str:
    """Return the text of a file. What editors of Windows write beside UTF-8 is named. Raises: ValueError."""
    if content.startswith(_UTF_16):
        raise ValueError("is in UTF-16; save it as UTF-8")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"is not UTF-8 (at line {line})") from error
