"""Tell which version of its form a file of ours has, so that an older program refuses a newer file and keeps it.

A file states its version in one of two ways, and all kinds of files are compared here (docs/adr/0072):

    format = "content-trust-lock-1"     a name, and the version at its end: it also says what the file is
    version = 1                         a number alone; a file without it has version 1
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from keys.record import record

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}")


@record
class DocumentKind:
    """A kind of file, and the newest version of it that this program reads and writes.

    `what`: the kind in words, with its article. `name`: what the member `format` begins with; "" for a kind that has a
    member `version`.
    """

    what: str
    name: str = ""
    known: int = 1

    @property
    def member(self) -> str:
        """The member that states the version."""
        return "format" if self.name else "version"

    @property
    def stated(self) -> str | int:
        """What the member says in a file that this program writes."""
        return f"{self.name}{self.known}" if self.name else self.known

    def newer(self, document: object) -> int | None:
        """Return the version that a parsed file states, if it is newer than the newest known one; else None."""
        version = self._version(document)
        return version if version is not None and version > self.known else None

    def is_known(self, document: object) -> bool:
        """Return whether a parsed file states a version that this program knows."""
        version = self._version(document)
        return version is not None and version <= self.known

    def _version(self, document: object) -> int | None:
        """Return the stated version; None if the file states none that could be one."""
        if not isinstance(document, Mapping):
            return None
        if self.name:
            stated = document.get("format")
            if not isinstance(stated, str) or not stated.startswith(self.name):
                return None
            number = _NUMBER.fullmatch(stated, len(self.name))
            return int(number[0]) if number else None
        stated = document.get("version", 1)
        return stated if type(stated) is int and stated >= 1 else None


def newer_sentence(path: str, what: str, version: int, known: int) -> str:
    """Return the sentence of the errors about a newer file."""
    return f"{path} is {what} of version {version}, and this program knows versions up to {known}"
