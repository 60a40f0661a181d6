"""Read a file that an option names; `-` is standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from trustcli.errors import UsageError
from trustdata.errors import shown

STANDARD_INPUT: Final = Path("-")


def place_of(file: Path) -> str:
    """Name the file, fit to be printed."""
    return "standard input" if file == STANDARD_INPUT else shown(str(file), 300)


def read_option_file(file: Path, option: str, *, limit: int) -> bytes:
    """Return the content, of at most `limit` bytes. Raises: UsageError (names option and file)."""
    try:
        if file == STANDARD_INPUT:
            content = sys.stdin.buffer.read(limit + 1)
        else:
            with file.open("rb") as stream:
                content = stream.read(limit + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise UsageError(f"{option}: {place_of(file)} cannot be read: {reason}") from error
    if len(content) > limit:
        raise UsageError(f"{option}: {place_of(file)} is larger than {limit} bytes")
    return content
