"""A small state file that several processes may change: read, decide and write under one file lock, durably."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from keys.document_version import DocumentKind
from keys.durable_file import file_lock, make_private_folder, write_durably
from trustcli.errors import MemoryUnwritable, SettingsUnusable
from trustcli.guarded_files import check_guarded, read_guarded
from trustdata import bounded_json
from trustdata.document_version import refuse_newer

_Value = TypeVar("_Value")

MAX_STATE_FILE: Final = 64 * 1024 * 1024
"""Largest accepted size in bytes; enough for about 50 000 collections."""


class GuardedFile:
    """One state file, of this user alone.

    Readers take no lock, since each write replaces the file: they read the old or the new content.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> bytes | None:
        """Return the content, or None if there is no file.

        Raises: FileExposed, also if there is no file and others may put one there; OSError if the file exists and
        cannot be read.
        """
        try:
            return read_guarded(self.path, limit=MAX_STATE_FILE)
        except FileNotFoundError:
            check_guarded(self.path)
            return None

    def document(self, kind: DocumentKind, parse: Callable[[Any], _Value], *, damaged: str) -> _Value | None:
        """Return what `parse` makes of the JSON document in the file, or None if there is no file.

        `damaged`: the reason where it is no such document, also where `parse` raises ValueError, KeyError, TypeError or
        AttributeError. Raises: SettingsUnusable, FileNewer, FileExposed.
        """
        try:
            raw = self.read()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise SettingsUnusable(place=str(self.path), reason=reason) from error
        if raw is None:
            return None
        try:
            return parse(self._known(kind, raw))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise SettingsUnusable(place=str(self.path), reason=damaged) from error

    def _known(self, kind: DocumentKind, raw: bytes) -> Any:
        """Read a document of this kind. Raises: FileNewer; ValueError, TypeError, AttributeError, RecursionError."""
        document = bounded_json.loads(raw)
        refuse_newer(kind, document, path=str(self.path))
        if not kind.is_known(document):
            raise ValueError(kind.what)
        return document

    def change(self, decide: Callable[[], bytes | None]) -> None:
        """Call `decide` under the file's lock and store what it returns; None changes nothing. Durable on return.

        An error of `decide` is raised unchanged, and nothing is written. Raises: MemoryUnwritable, FileExposed.
        """
        try:
            make_private_folder(self.path.parent)
            check_guarded(self.path)
            with file_lock(self.path):
                content = decide()
                if content is not None:
                    write_durably(self.path, content)
        except OSError as error:
            raise MemoryUnwritable(path=str(self.path), reason=error.strerror or type(error).__name__) from error
