"""Find commands by their names in the tree of commands, for users who typed one in the wrong place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

_PROGRAM: Final = "trust-server"


def path_of(command: Any, words: Sequence[str]) -> str:
    """Return the command that the words name, as far as they name one. `command`: Typer's, of the whole program."""
    path = [_PROGRAM]
    for word in words:
        below = getattr(command, "commands", {})
        if word in below:
            path.append(word)
            command = below[word]
    return " ".join(path)


def elsewhere(command: Any, sentence: str) -> str:
    """Return the one command of another group that has the name which `sentence` says to be none, or ""."""
    word = re.match(r"there is no command '([^']+)'", sentence)
    found = [path for path in _paths(command, _PROGRAM) if word and path.endswith(f" {word[1]}")]
    return found[0] if len(found) == 1 else ""


def _paths(command: Any, path: str) -> Iterator[str]:
    for name, below in getattr(command, "commands", {}).items():
        yield f"{path} {name}"
        yield from _paths(below, f"{path} {name}")
