"""Remember which collections a check has found sound, so that a check that was interrupted goes on where it was.

    {"format":"content-trust-check-1","database":"<mark of the seal key>","began":1795000000}
    {"gun":"registry.example.com/app","revision":7}

A collection is skipped only while its revision is the same, and only by a check that goes on within a day: a database
decays though nothing is published. The file goes away with a check that comes to its end.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Final, Self

import orjson

from keys.document_version import DocumentKind
from keys.file_access import unguarded
from trustdata.document_version import refuse_newer
from trustdata.gun import GUN
from trustserver.errors import StartRefused

MAX_AGE: Final = timedelta(days=1)
KIND: Final = DocumentKind(what="a file of an interrupted check", name="content-trust-check-")


class CheckProgress:
    """The collections that were found sound, in a file, as a context manager. None as `path`: nothing is remembered."""

    def __init__(self, path: Path | None, *, mark: str, at: datetime) -> None:
        """Read what an earlier check has left. `mark`: of the database's seal key. Raises: StartRefused, FileNewer."""
        self._path = path
        self._sound: dict[GUN, int] = {}
        self._file: IO[bytes] | None = None
        if path is None:
            return
        try:
            self._file = open(path, "a+b", opener=_private)  # noqa: SIM115 - Path.open has no opener
            self._load(self._file, path, mark, at)
        except OSError as error:
            self.__exit__()
            raise StartRefused(what=str(path), reason=f"cannot be used: {error.strerror}") from error
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def is_sound(self, gun: GUN, revision: int) -> bool:
        """Return whether an earlier check has found this revision of the collection sound."""
        return self._sound.get(gun) == revision

    def note(self, gun: GUN, revision: int) -> None:
        """Remember that this revision is sound. Raises: StartRefused."""
        if self._file is not None:
            self._write({"gun": gun, "revision": revision})

    def finish(self) -> None:
        """Remove the file: the check has come to its end, and the next one begins anew. Raises: StartRefused."""
        if self._path is not None:
            try:
                self._path.unlink(missing_ok=True)
            except OSError as error:
                raise StartRefused(what=str(self._path), reason=f"cannot be removed: {error.strerror}") from error

    def _load(self, file: IO[bytes], path: Path, mark: str, at: datetime) -> None:
        exposed = unguarded(path, os.fstat(file.fileno()))
        if exposed is not None:
            raise StartRefused(what=exposed.path, reason=exposed.refusal)
        file.seek(0)
        lines = file.read().split(b"\n")
        if not self._is_of(lines[0], mark, at):
            self._begin(lines, mark, at)
            return
        self._sound = dict(filter(None, map(_sound, lines[1:])))
        if lines[-1]:  # cut off while it was written
            file.write(b"\n")

    def _begin(self, lines: list[bytes], mark: str, at: datetime) -> None:
        if self._file is None:
            return
        refuse_newer(KIND, _object(lines[0]), path=str(self._path))
        if any(lines) and not KIND.is_known(_object(lines[0])):
            raise StartRefused(what=str(self._path), reason="is no file of an interrupted check: name another")
        self._file.truncate(0)
        self._write({KIND.member: KIND.stated, "database": mark, "began": int(at.timestamp())})

    def _is_of(self, head: bytes, mark: str, at: datetime) -> bool:
        content = _object(head)
        began = content.get("began")
        age = timedelta(seconds=at.timestamp() - began) if type(began) is int else MAX_AGE
        same = (content.get("format"), content.get("database")) == (KIND.stated, mark)
        return same and timedelta(0) <= age < MAX_AGE

    def _write(self, content: dict[str, object]) -> None:
        if self._file is None:
            return
        try:
            self._file.write(orjson.dumps(content) + b"\n")
            self._file.flush()
        except OSError as error:
            raise StartRefused(what=str(self._path), reason=f"cannot be written: {error.strerror}") from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _sound(line: bytes) -> tuple[GUN, int] | None:
    content = _object(line)
    gun, revision = content.get("gun"), content.get("revision")
    return (GUN(gun), revision) if isinstance(gun, str) and type(revision) is int else None


def _object(line: bytes) -> dict[str, object]:
    try:
        content = orjson.loads(line)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
