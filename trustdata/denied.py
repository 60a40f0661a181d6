"""Digests that a collection denies: a member of its signed `targets`, and what it says of an image (docs/adr/0108).

Whatever allows an image, a denied digest does not run. Only the owner of the repository key writes the list: in the
file of a delegation the member is malformed. Other TUF clients ignore it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, cast

from trustdata.errors import DigestDenied

if TYPE_CHECKING:
    from trustdata.model import Targets

DENIED_MEMBER: Final = "x-content-trust-denied"
MAX_DENIED: Final = 1000
"""Digests of one list: each client reads the whole list, and looks for each image in it."""
MAX_REASON: Final = 200
"""Characters of one reason."""
REASON: Final = "reason"
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", re.ASCII)
_NOTHING: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType({})


class DenyList:
    """The digests that one collection denies. `by`: its name. Two are equal if they deny the same for the same reasons.

    It is made for each question, so nothing is copied.
    """

    __slots__ = ("_entries", "by")

    def __init__(self, by: str, entries: Mapping[str, Mapping[str, object]]) -> None:
        self.by = by
        self._entries = entries

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DenyList) and self.by == other.by and self._entries == other._entries

    def __hash__(self) -> int:
        return hash((self.by, len(self._entries)))

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, digest: object) -> bool:
        return digest in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def reason(self, digest: str) -> str:
        """Return why a denied digest is denied; "" if its owner has not said."""
        return str(self._entries[digest].get(REASON, ""))

    def entry(self, digest: str) -> Mapping[str, object]:
        """Return what stands in the list about a digest; nothing if it is not denied."""
        return self._entries.get(digest, {})

    def reasons(self) -> dict[str, str]:
        """Return every denied digest with its reason, sorted."""
        return {digest: self.reason(digest) for digest in sorted(self._entries)}


def deny_list(by: str, targets: Targets) -> DenyList:
    """Return what a collection denies. `targets`: its verified top-level role."""
    entries = targets.unrecognized_fields.get(DENIED_MEMBER, _NOTHING)
    return DenyList(by, cast("Mapping[str, Mapping[str, object]]", entries))


def check_not_denied(name: str, digest: str, lists: Iterable[DenyList], *, platforms: Collection[str] = ()) -> None:
    """Check that no list denies a digest (`sha256:HEX`), nor a platform that whoever gets it may run.

    `name`: of the image, for messages. `platforms`: what an index lists, `sha256:HEX`. Raises: DigestDenied.
    """
    for denying in lists:
        found = next((each for each in (digest, *platforms) if each in denying), None)
        if found is not None:
            raise DigestDenied(
                name=name, digest=digest, denied=found, denied_by=denying.by, reason=denying.reason(found)
            )


def fault_of_denied(value: object) -> tuple[str, str] | None:
    """Return what is wrong with the member, as its place below it and the reason; None if nothing is."""
    if not isinstance(value, dict):
        return "", "must be an object"
    if len(value) > MAX_DENIED:
        return "", f"has more than {MAX_DENIED} entries"
    for digest, entry in value.items():
        if not _DIGEST.fullmatch(digest):
            return "", "must name digests: sha256: or sha512: and the lower-case hexadecimal digits"
        if not isinstance(entry, dict):
            return f".{digest}", "must be an object"
        reason = entry.get(REASON, "")
        if not isinstance(reason, str) or len(reason) > MAX_REASON:
            return f".{digest}.{REASON}", f"must be text of at most {MAX_REASON} characters"
    return None


def denied_member(reasons: Mapping[str, str], before: DenyList) -> dict[str, dict[str, object]]:
    """Return the member for these digests and reasons. What else stands in an entry of `before` is kept."""
    member: dict[str, dict[str, object]] = {}
    for digest, reason in reasons.items():
        entry = dict(before.entry(digest))
        entry.pop(REASON, None)
        member[digest] = {**entry, **({REASON: reason} if reason else {})}
    return member
