"""Read and write the content of a lock file, `trust.lock` (docs/reference/lock-file.md).

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

Reading is strict: a damaged file is refused, with the line. Equal entries are written as equal bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from keys.document_version import DocumentKind
from trustdata import bounded_toml
from trustdata.document_version import refuse_newer
from trustdata.errors import InvalidName, LockDamaged, shown
from trustdata.gun import GUN, parse_gun
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName, is_delegated, parse_role
from trustdata.verification.lock_entry import LockEntry
from trustdata.verification.trust_pinning import Pin, parse_pin
from trustdata.wire.format_names import FORMAT_NAMES

KIND: Final = DocumentKind(what="a lock file", name="content-trust-lock-")

_HEADER: Final = b"# What this project has verified. Written by `trust lock` alone: commit it, do not edit it.\n\n"
_MEMBERS: Final = {"format", "root-version", "root", "minimum"}
_MINIMUM: Final = ".minimum"
_REQUIRED_ROLES: Final = (TIMESTAMP, SNAPSHOT, TARGETS)
_TOML_LINE: Final = re.compile(r"at line (\d+)")


def read_lock(raw: bytes, *, path: str) -> dict[GUN, LockEntry]:
    """Read all entries, sorted by name.

    `path`: the name of the file in error messages. Raises: LockDamaged, FileNewer.
    """
    return _Reader(path, raw).entries()


def write_lock(entries: Mapping[GUN, LockEntry]) -> bytes:
    """Return the content of the file."""
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
    return _HEADER + tomli_w.dumps({"format": KIND.stated, "collections": tables}).encode()


def role_order(role: str) -> tuple[int, str]:
    """Return the sort key of a role: root, timestamp, snapshot, targets, then the delegations by name."""
    top = (ROOT, *_REQUIRED_ROLES)
    return (len(top), role) if is_delegated(role) else (top.index(RoleName(role)), role)


class _Reader:
    """A strict reader of one file, whose errors name the line."""

    def __init__(self, path: str, raw: bytes) -> None:
        self._path = path
        try:
            self._text = raw.decode()
        except UnicodeDecodeError as error:
            raise LockDamaged(path=path, line=raw.count(b"\n", 0, error.start) + 1, reason="is not UTF-8") from error

    def entries(self) -> dict[GUN, LockEntry]:
        """Read all entries, sorted by name. Raises: LockDamaged, FileNewer."""
        document = self._document()
        refuse_newer(KIND, document, path=self._path)
        if not KIND.is_known(document):
            raise self._damaged(f"is not of format {KIND.stated}: it is no lock file", member="format")
        unknown = sorted(set(document) - {"format", "collections"})
        if unknown:
            raise self._damaged(f"{shown(unknown[0])} is no member of a lock file", member=unknown[0])
        tables = document.get("collections", {})
        if not isinstance(tables, dict):
            raise self._damaged("collections must be tables", member="collections")
        return dict(sorted(self._entry(name, members) for name, members in tables.items()))

    def _document(self) -> dict[str, object]:
        try:
            return bounded_toml.loads(self._text)
        except (ValueError, RecursionError) as error:
            found = _TOML_LINE.search(str(error))
            # An error at the end of the file has no line number.
            line = int(found[1]) if found else max(1, self._text.rstrip("\n").count("\n") + 1)
            raise LockDamaged(path=self._path, line=line, reason=f"is not TOML: {error}") from error

    def _entry(self, name: str, members: object) -> tuple[GUN, LockEntry]:
        if not isinstance(members, dict) or set(members) != _MEMBERS:
            reason = f"{shown(name)} must have {', '.join(sorted(_MEMBERS))}, and nothing else"
            raise self._damaged(reason, of=name)
        if members["format"] not in FORMAT_NAMES:
            raise self._damaged(f"format must be one of {', '.join(FORMAT_NAMES)}", of=name, member="format")
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
        missing = [role for role in _REQUIRED_ROLES if role not in value]
        if missing:
            raise self._damaged(f"the minimum version of {missing[0]} is missing", of=name, table=_MINIMUM)
        minimum = {}
        for role, version in value.items():
            try:
                role_name = parse_role(role)
            except InvalidName as error:
                raise self._damaged(str(error), of=name, table=_MINIMUM, member=role) from error
            if role_name == ROOT:
                reason = "root has a root-version, and no minimum"
                raise self._damaged(reason, of=name, table=_MINIMUM, member=role)
            minimum[role_name] = self._version(version, of=name, table=_MINIMUM, member=role)
        return minimum

    def _version(self, value: object, *, of: str, member: str, table: str = "") -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self._damaged(f"{shown(member)} must be an integer of 1 or more", of=of, table=table, member=member)
        return value

    def _damaged(self, reason: str, *, of: str = "", table: str = "", member: str = "") -> LockDamaged:
        return LockDamaged(path=self._path, line=self._line(of, table, member), reason=reason)

    def _line(self, name: str, table: str, member: str) -> int:
        """Return the line of a member, or of its table if the member is missing, or 0 if the table is missing too.

        Only the form that `trust lock` writes is found.
        """
        lines = self._text.splitlines()
        header = f'[collections."{name}"{table}]'
        begin = next((number for number, line in enumerate(lines, start=1) if line == header), 0) if name else 0
        for number, line in enumerate(lines[begin:], start=begin + 1):
            if not member or line.startswith("["):
                break
            if re.match(rf'"?{re.escape(member)}"?\s*=', line):
                return number
        return begin
