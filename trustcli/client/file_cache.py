"""The newest verified files of a collection on disk, in `<home>/cache/<format>/<name>/{roots,roles}/`.

Plain files, named after versions and roles, so that a person can read them with any tool.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from pathlib import Path
from typing import Final
from urllib.parse import quote

from keys.durable_file import make_private_folder, write_atomically
from keys.file_access import open_at_once
from trustdata.gun import GUN
from trustdata.limits import notary_size_limit, size_limit
from trustdata.roles import ROOT, RoleName, role_to_path
from trustdata.wire.format_names import NOTARY_V1

_LONGEST: Final = 200  # bytes of a file name; file systems allow 255, and temporary names and suffixes need some
_SUFFIX: Final = ".json"
_VERSION: Final = re.compile("[1-9][0-9]{0,15}")


class FileCache:
    """A `MetadataCache` in a folder, made at the first store and readable for its owner only: tags may be private."""

    def __init__(self, folder: Path, *, format_name: str, gun: GUN) -> None:
        home = folder / format_name / _file_name(quote(gun, safe=""))
        self._roots = home / "roots"
        self._roles = home / "roles"
        self._may_begin_later = format_name == NOTARY_V1
        self._limit = notary_size_limit if format_name == NOTARY_V1 else size_limit

    def roots(self) -> list[bytes]:
        """Return the stored roots from version 1 on, in Notary v1 from the lowest one, up to the first gap."""
        return list(self.numbered_roots().values())

    def numbered_roots(self) -> dict[int, bytes]:
        """Return what `roots` returns, by version."""
        found: dict[int, bytes] = {}
        version = self._lowest_root()
        while (raw := _read(self._root(version), self._limit(ROOT))) is not None:
            found[version] = raw
            version += 1
        return found

    def store_root(self, version: int, raw: bytes) -> None:
        """Store one version of root beside the others."""
        _write(self._root(version), raw)

    def drop_roots(self) -> None:
        """Delete all stored roots."""
        with contextlib.suppress(OSError):
            _empty(self._roots)

    def load(self, role: RoleName) -> bytes | None:
        """Return the newest stored file of a role other than root, or None."""
        return _read(self._role(role), self._limit(role))

    def store(self, role: RoleName, raw: bytes) -> None:
        """Store a role's file in place of the older one."""
        _write(self._role(role), raw)

    def drop(self, role: RoleName) -> None:
        """Delete a role's stored file."""
        with contextlib.suppress(OSError):
            self._role(role).unlink()

    def clear(self) -> None:
        """Delete everything of this collection, for `trust pin --replace`."""
        for folder in (self._roots, self._roles):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                _empty(folder)

    def _lowest_root(self) -> int:
        """Return the version with which the stored roots begin. The folder is read only where 1 is not stored."""
        if not self._may_begin_later or self._root(1).exists():
            return 1
        try:
            names = [file.name.removesuffix(_SUFFIX) for file in self._roots.iterdir() if file.suffix == _SUFFIX]
        except OSError:
            return 1
        return min((int(name) for name in names if _VERSION.fullmatch(name)), default=1)

    def _root(self, version: int) -> Path:
        return self._roots / f"{version}{_SUFFIX}"

    def _role(self, role: RoleName) -> Path:
        return self._roles / f"{_file_name(role_to_path(role))}{_SUFFIX}"


def _empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink(missing_ok=True)


def _file_name(encoded: str) -> str:
    """Return a name that every file system accepts; a too long one is cut and made unique by a hash."""
    if len(encoded) <= _LONGEST and encoded not in {".", ".."}:
        return encoded
    digest = hashlib.sha256(encoded.encode()).hexdigest()
    return f"{encoded[: _LONGEST - len(digest) - 1]}~{digest}"  # quote() leaves "~", but no name here is that long


def _read(path: Path, limit: int) -> bytes | None:
    try:
        with open(path, "rb", opener=open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            raw = file.read(limit + 1)
    except OSError:
        return None
    return raw if len(raw) <= limit else None


def _write(path: Path, raw: bytes) -> None:
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time, not trust
        make_private_folder(path.parent)
        write_atomically(path, raw)
