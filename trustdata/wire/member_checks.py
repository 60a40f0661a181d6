"""Check the types of the members of parsed documents, for both wire formats; an error names the wrong member.

What one format demands of a member (`expires`, keys, paths) is in tuf.py and notary.py.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import TypeAlias

from trustdata.denied import DENIED_MEMBER, fault_of_denied
from trustdata.errors import InvalidName, MalformedMetadata
from trustdata.gun import GUN, parse_gun
from trustdata.roles import TARGETS, RoleName, parse_role

Object: TypeAlias = dict[str, object]


class MemberChecks:
    """Checks the members of the file of one role. Every method raises MalformedMetadata."""

    def __init__(self, role: RoleName) -> None:
        self._role = role

    def refuse(self, path: str, reason: str) -> MalformedMetadata:
        """Return the error for a member; the caller raises it."""
        return MalformedMetadata(role=self._role, path=path, reason=reason)

    def members(self, value: object, path: str) -> Object:
        if not isinstance(value, dict):
            raise self.refuse(path, "must be an object")
        return value

    def elements(self, value: object, path: str, *, most: int | None = None) -> list[object]:
        if not isinstance(value, list):
            raise self.refuse(path, "must be an array")
        self.few(value, path, most)
        return value

    def few(self, value: Sized, path: str, most: int | None) -> None:
        if most is not None and len(value) > most:
            raise self.refuse(path, f"has more than {most} entries")

    def text(self, value: object, path: str) -> str:
        if not isinstance(value, str) or not value:
            raise self.refuse(path, "must be non-empty text")
        return value

    def integer(self, value: object, path: str, minimum: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
            raise self.refuse(path, f"must be an integer of {minimum} or more")
        return value

    def boolean(self, value: object, path: str) -> bool:
        if not isinstance(value, bool):
            raise self.refuse(path, "must be true or false")
        return value

    def collection_name(self, value: object, path: str) -> GUN:
        try:
            return parse_gun(self.text(value, path))
        except InvalidName as error:
            raise self.refuse(path, f"must be the name of a collection: {error.reason}") from error

    def denied(self, signed: Object) -> None:
        """Check the list of denied digests in a targets file, if there is one (docs/adr/0108)."""
        if DENIED_MEMBER not in signed:
            return
        path = f"signed.{DENIED_MEMBER}"
        if self._role != TARGETS:
            raise self.refuse(path, "belongs to targets: no delegation denies anything")
        fault = fault_of_denied(signed[DENIED_MEMBER])
        if fault is not None:
            place, reason = fault
            raise self.refuse(f"{path}{place}", reason)

    def role_name(self, name: str, path: str) -> RoleName:
        try:
            return parse_role(name)
        except InvalidName as error:
            raise self.refuse(path, error.reason) from error
