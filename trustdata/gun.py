"""Check the names of collections (GUNs) and of tags.

Sources: Docker's reference grammar (distribution/reference), OCI distribution specification 1.1 (tags).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final, NewType

from trustdata.errors import InvalidName

GUN = NewType("GUN", str)
"""Globally unique name of one trust collection: `registry.example.com:5000/team/app`.

Only `parse_gun` and `parse_notary_gun` make one.
"""

Tag = NewType("Tag", str)
"""An OCI tag. Only `parse_tag` makes one."""

NAME_MEMBER: Final = "x-content-trust-gun"
"""The member of a TUF 1.0 root that names its collection. Other TUF clients keep and ignore it (docs/adr/0044)."""

MAX_GUN_LENGTH = 255  # distribution/reference: NameTotalLengthMax; also the width of Notary's columns
MAX_TAG_LENGTH = 128  # OCI distribution specification 1.1, "Pulling manifests"

_HOST = r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[a-f0-9:]+\])(?::[0-9]{1,5})?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_GUN = re.compile(rf"(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_NOTARY_FORBIDDEN = "[*\x00-\x1f\x7f-\x9f\ud800-\udfff]"  # compiled at first use: not at every start
_TAG_TEXT = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_TAG = re.compile(_TAG_TEXT, re.ASCII)
_TAG_LINES = re.compile(rf"(?:{_TAG_TEXT}\n)*", re.ASCII)


def parse_gun(text: str) -> GUN:
    """Check the normalised name of a collection. Raises: InvalidName.

    Nothing is normalised here: the command line has done that before.
    """
    if len(text) > MAX_GUN_LENGTH:
        raise InvalidName(kind="collection name", name=text, reason=f"longer than {MAX_GUN_LENGTH} characters")
    if not _GUN.fullmatch(text):
        reason = "must be lower-case" if _GUN.fullmatch(text.lower()) else "not [HOST[:PORT]/]PATH of Docker's grammar"
        raise InvalidName(kind="collection name", name=text, reason=reason)
    return GUN(text)


def parse_notary_gun(text: str) -> GUN:
    """Check the name of a collection by the rules of Notary v1, which allow more than Docker's grammar.

    Refused are names with `*` or control characters, and names with a component that a URL cannot hold: an empty one,
    `.` and `..`. Raises: InvalidName.
    """
    if not 0 < len(text) <= MAX_GUN_LENGTH:
        raise InvalidName(kind="collection name", name=text, reason=f"must have 1 to {MAX_GUN_LENGTH} characters")
    if re.search(_NOTARY_FORBIDDEN, text):
        raise InvalidName(kind="collection name", name=text, reason="holds * or a control character")
    if not {"", ".", ".."}.isdisjoint(text.split("/")):
        raise InvalidName(kind="collection name", name=text, reason="has an empty component, or one that is . or ..")
    return GUN(text)


def parse_tag(text: str) -> Tag:
    """Check a tag (OCI distribution specification 1.1). Raises: InvalidName."""
    if len(text) > MAX_TAG_LENGTH:
        raise InvalidName(kind="tag", name=text, reason=f"longer than {MAX_TAG_LENGTH} characters")
    if not _TAG.fullmatch(text):
        raise InvalidName(kind="tag", name=text, reason="not an OCI tag ([A-Za-z0-9_][A-Za-z0-9._-]*)")
    return Tag(text)


def are_tags(names: Collection[str]) -> bool:
    """Return whether all names are tags. One pass is fast for 10 000 names; `parse_tag` finds the wrong one."""
    lines = "".join([f"{name}\n" for name in names])
    return lines.count("\n") == len(names) and _TAG_LINES.fullmatch(lines) is not None
