"""The project's lock file, `trust.lock`: kept in version control, read in code reviews, written by `trust lock` alone.

    format = "content-trust-lock-1"

    [collections."registry.example.com/team/app"]
    format = "tuf-1.0"
    root-version = 2
    root = "sha256:..."

    [collections."registry.example.com/team/app".minimum]
    timestamp = 7
    snapshot = 7
    targets = 4
    "targets/releases" = 3

The same entries give the same bytes, whoever writes them. A damaged file is refused with its line, never passed over.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from keys.durable_file import write_durably
from trustcli.state.pins import FORMATS
from trustdata.errors import InvalidName, LockDamaged, NotStored, shown
from trustdata.gun import GUN, parse_gun
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName, is_delegated, parse_role
from trustdata.verification.lock_entry import LockEntry
from trustdata.verification.trust_pinning import Pin, parse_pin

FORMAT: Final = "content-trust-lock-1"
MAX_LOCK_FILE: Final = 16 * 1024 * 1024
"""Bytes; some 20 000 collections."""

_HEADER: Final = b"# What this project has verified. Written by `trust lock` alone: commit it, do not edit it.\n\n"
_MEMBERS: Final = {"format", "root-version", "root", "minimum"}
_MINIMUM: Final = ".minimum"
_ALWAYS: Final = (TIMESTAMP, SNAPSHOT, TARGETS)
_TOML_LINE: Final = re.compile(r"at line (\d+)")


class LockFile:
    """One lock file. Where two write at once, the second notices that the file has changed since it was read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: bytes | None = None

    def load(self) -> dict[GUN, LockEntry] | None:
        """All entries, in order of name, or None if there is no file. Raises: LockDamaged."""
        self._read = self._content()
        if self._read is None:
            return None
        return _Reading(str(self.path), self._read).entries()

    def replace(self, entries: Mapping[GUN, LockEntry]) -> None:
        """Write the file anew, durably, for everybody to read. `load` comes first.

        Raises: NotStored (also if the file is no longer what `load` has read), LockDamaged.
        """
        if self._content() != self._read:
            raise NotStored(reason=f"{self.path} was changed meanwhile; run the same command again")
        content = lock_document(entries)
        try:
            write_durably(self.path, content, mode=0o644)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise NotStored(reason=f"{self.path} cannot be written: {reason}") from error
        self._read = content

    def _content(self) -> bytes | None:
        try:
            # A pipe or a terminal in its place would be waited for.
            with open(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise LockDamaged(path=str(self.path), line=0, reason="is no file")
                raw = file.read(MAX_LOCK_FILE + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LockDamaged(path=str(self.path), line=0, reason=error.strerror or type(error).__name__) from error
        if len(raw) > MAX_LOCK_FILE:
            raise LockDamaged(path=str(self.path), line=0, reason=f"is larger than {MAX_LOCK_FILE} bytes")
        return raw


def lock_document(entries: Mapping[GUN, LockEntry]) -> bytes:
    """The file's content."""
    import tomli_w  # most invocations only read

    tables = {
        gun: {
            "format": entry.format,
            "root-version": entry.root_version,
            "root": str(entry.root),
            "minimum": {role: entry.minimum[role] for role in sorted(entry.minimum, key=role_order)},
        }
        for gun, entry in sorted(entries.items())
    }
    return _HEADER + tomli_w.dumps({"format": FORMAT, "collections": tables}).encode()


def role_order(role: str) -> tuple[int, str]:
    """Root, timestamp, snapshot, targets, then the delegations by name."""
    top = (ROOT, *_ALWAYS)
    return (len(top), role) if is_delegated(role) else (top.index(RoleName(role)), role)


class _Reading:
    """One content, read strictly; whatever is wrong is named with its line."""

    def __init__(self, path: str, raw: bytes) -> None:
        self._path = path
        try:
            self._text = raw.decode()
        except UnicodeDecodeError as error:
            raise LockDamaged(path=path, line=raw.count(b"\n", 0, error.start) + 1, reason="is no UTF-8") from error

    def entries(self) -> dict[GUN, LockEntry]:
        """Raises: LockDamaged."""
        document = self._document()
        if document.get("format") != FORMAT:
            reason = f"is not of format {FORMAT}: it is no lock file, or a newer program has written it"
            raise self._damaged(reason, member="format")
        unknown = sorted(set(document) - {"format", "collections"})
        if unknown:
            raise self._damaged(f"{shown(unknown[0])} is no member of a lock file", member=unknown[0])
        tables = document.get("collections", {})
        if not isinstance(tables, dict):
            raise self._damaged("collections must be tables", member="collections")
        return dict(sorted(self._entry(name, members) for name, members in tables.items()))

    def _document(self) -> dict[str, object]:
        try:
            return tomllib.loads(self._text)
        except (ValueError, RecursionError) as error:
            found = _TOML_LINE.search(str(error))
            # At its end the parser counts no lines.
            line = int(found[1]) if found else max(1, self._text.rstrip("\n").count("\n") + 1)
            raise LockDamaged(path=self._path, line=line, reason=f"is no TOML: {error}") from error

    def _entry(self, name: str, members: object) -> tuple[GUN, LockEntry]:
        if not isinstance(members, dict) or set(members) != _MEMBERS:
            reason = f"{shown(name)} must have {', '.join(sorted(_MEMBERS))}, and nothing else"
            raise self._damaged(reason, of=name)
        if members["format"] not in FORMATS:
            raise self._damaged(f"format must be one of {', '.join(FORMATS)}", of=name, member="format")
        try:
            gun = parse_gun(name)
        except InvalidName as error:
            raise self._damaged(str(error), of=name) from error
        return gun, LockEntry(
            format=members["format"],
            root_version=self._version(members["root-version"], of=name, member="root-version"),
            root=self._root(name, members["root"]),
            minimum=self._minimum(name, members["minimum"]),
        )

    def _root(self, name: str, value: object) -> Pin:
        try:
            pin = parse_pin(str(value))
        except InvalidName as error:
            raise self._damaged(str(error), of=name, member="root") from error
        if pin.kind != "sha256":
            raise self._damaged("root must be sha256:HEX of a root file", of=name, member="root")
        return pin

    def _minimum(self, name: str, value: object) -> dict[RoleName, int]:
        if not isinstance(value, dict):
            raise self._damaged("minimum must be a table", of=name, member="minimum")
        missing = [role for role in _ALWAYS if role not in value]
        if missing:
            raise self._damaged(f"the minimum version of {missing[0]} is missing", of=name, table=_MINIMUM)
        minimum = {}
        for role, version in value.items():
            try:
                known = parse_role(role)
            except InvalidName as error:
                raise self._damaged(str(error), of=name, table=_MINIMUM, member=role) from error
            if known == ROOT:
                reason = "root has a root-version, and no minimum"
                raise self._damaged(reason, of=name, table=_MINIMUM, member=role)
            minimum[known] = self._version(version, of=name, table=_MINIMUM, member=role)
        return minimum

    def _version(self, value: object, *, of: str, member: str, table: str = "") -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self._damaged(f"{shown(member)} must be an integer of 1 or more", of=of, table=table, member=member)
        return value

    def _damaged(self, reason: str, *, of: str = "", table: str = "", member: str = "") -> LockDamaged:
        return LockDamaged(path=self._path, line=self._line(of, table, member), reason=reason)

    def _line(self, name: str, table: str, member: str) -> int:
        """The line of a member, or of the table it should be in, as `trust lock` writes them; 0 if it is not found."""
        lines = self._text.splitlines()
        header = f'[collections."{name}"{table}]'
        begin = next((number for number, line in enumerate(lines, start=1) if line == header), 0) if name else 0
        for number, line in enumerate(lines[begin:], start=begin + 1):
            if not member or line.startswith("["):
                break
            if re.match(rf'"?{re.escape(member)}"?\s*=', line):
                return number
        return begin
