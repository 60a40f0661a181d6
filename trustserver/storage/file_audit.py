"""Check every stored file: that its bytes are unchanged, and that it belongs to a live collection."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from trustserver.errors import StartRefused

_FILES: Final = text("""
    SELECT c.gun, c.status, f.role, f.version, f.sha256, f.raw,
           (SELECT n.version FROM current_file k JOIN file n ON n.id = k.file_id
             WHERE k.collection_id = f.collection_id AND k.role = f.role) AS newest
      FROM file f LEFT JOIN collection c ON c.id = f.collection_id
     ORDER BY c.gun, f.role, f.version""")
_BROKEN_CURRENT: Final = text("""
    SELECT c.gun, k.role
      FROM current_file k LEFT JOIN collection c ON c.id = k.collection_id
      LEFT JOIN file f ON f.id = k.file_id AND f.collection_id = k.collection_id AND f.role = k.role
     WHERE f.id IS NULL OR c.id IS NULL""")
_BATCH: Final = 16  # files that are in memory at one time


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFault:
    """Something wrong with a stored file. `gun` is empty if the file belongs to no collection.

    `changed`: the bytes are not those that were stored. If False, the file should not be there, or is missing.
    """

    gun: str
    changed: bool
    message: str


def audit_files(engine: Engine) -> Iterator[FileFault]:
    """Read every stored file, also old versions, and yield what is wrong.

    Raises: StartRefused if the database cannot be read.
    """
    try:
        with engine.connect() as connection:
            for row in connection.execution_options(yield_per=_BATCH).execute(_FILES):
                file = f"{row.role} version {row.version}"
                if hashlib.sha256(row.raw).hexdigest() != row.sha256:
                    yield FileFault(gun=row.gun or "", changed=True, message=f"{file} is not what was stored")
                if row.gun is None or row.status != "live":
                    yield FileFault(gun=row.gun or "", changed=False, message=f"{file} belongs to no live collection")
                elif row.newest is None or row.version > row.newest:
                    yield FileFault(
                        gun=row.gun, changed=False, message=f"{file} is newer than the newest that is served"
                    )
            for row in connection.execute(_BROKEN_CURRENT):
                yield FileFault(gun=row.gun or "", changed=False, message=f"the newest {row.role} is not there")
    except SQLAlchemyError as error:
        raise StartRefused(
            what="database", reason=f"cannot be read: {getattr(error, 'orig', None) or error}"
        ) from error
