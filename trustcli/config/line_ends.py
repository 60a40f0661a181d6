"""What files of Windows leave in words of the command line and in variables: a CR at the end, a mark at the beginning.

Lists of names come through `$(cat FILE)`, `mapfile` and `xargs`, variables from files for `docker run --env-file` and
CI systems. None of these programs takes the rest of a line end away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from keys.child_environment import without_passphrases

_MARKS: Final = ("\ufeff", "\udcff\udcfe", "\udcfe\udcff")
"""The byte order mark of UTF-8; those of UTF-16, of which a shell leaves out the zeros and hands on the rest."""
_PLACES_OF_PASSPHRASES: Final = ("_FILE", "_FD")


def without_line_end(word: str) -> str:
    """Return a word without the byte order mark before it and the line ends behind it."""
    mark = next((mark for mark in _MARKS if word.startswith(mark)), "")
    return word.removeprefix(mark).rstrip("\r\n")


def plain_words(argv: Sequence[str]) -> list[str]:
    """Return the words of a command line without line ends. One of nothing else was an empty line, and is left out."""
    return [plain for word in argv if (plain := without_line_end(word)) or not word]


def plain_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without line ends, but passphrases as they are (`keys.passphrase` says what is tried)."""
    others = without_passphrases(environ)
    return {
        name: without_line_end(value) if name in others or name.endswith(_PLACES_OF_PASSPHRASES) else value
        for name, value in environ.items()
    }
