"""Recognise the targets of a file in the form in which our writers write tags: a length and one SHA-256, nothing else.

A file of 10 000 tags has 10 000 such entries. One regular expression over the bytes checks them all in a third of the
time that a check of every parsed value takes.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from trustdata.model import TargetFile
from trustdata.wire.canonical_json import to_json

_HEX: Final = rb"[0-9a-f]{64}"
_BASE64: Final = rb"[A-Za-z0-9+/]{43}="


def _grammar(sha256: bytes) -> re.Pattern[bytes]:
    target = rb'"[^"\\]+":\{"hashes":\{"sha256":"%b"\},"length":(?:0|[1-9][0-9]{0,14})\}' % sha256
    return re.compile(rb"\{(?:%b(?:,%b)*+)?\}" % (target, target))


_TUF: Final = _grammar(_HEX)
_NOTARY: Final = _grammar(_BASE64)


class PlainTargets(Mapping[str, TargetFile]):
    """Targets that the regular expression has checked. Each is made when it is asked for, and only then.

    Of 10 000 tags a verification asks for one, and a publish for none.
    """

    __slots__ = ("_kind", "_parsed")

    def __init__(self, parsed: Mapping[str, Any], kind: Callable[[Any, str], TargetFile]) -> None:
        """Make a mapping from parsed objects by name. `kind`: makes a target from such an object and its name."""
        self._parsed = parsed
        self._kind = kind

    def __getitem__(self, name: str) -> TargetFile:
        return self._kind(self._parsed[name], name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parsed)

    def __len__(self) -> int:
        return len(self._parsed)

    def __contains__(self, name: object) -> bool:
        return name in self._parsed


class PlainTarget(TargetFile):
    """A target that the regular expression has checked, so python-tuf does not check its length and hash again."""

    def __init__(self, target: Any, path: str) -> None:
        """Make a target from a parsed object with `length` and `hashes`."""
        self.length = target["length"]
        self.hashes = target["hashes"]
        self.path = path
        self.unrecognized_fields = {}


class PlainNotaryTarget(TargetFile):
    """A plain target of Notary v1. Its hash is base64 and is converted to hex when it is read, which is rare."""

    def __init__(self, target: Any, path: str) -> None:
        """Make a target from a parsed object with `length` and `hashes`."""
        self.length = target["length"]
        self._sha256 = target["hashes"]["sha256"]
        self.path = path
        self.unrecognized_fields = {}

    @property
    def hashes(self) -> dict[str, str]:  # type: ignore[override]  # an attribute in python-tuf
        """The SHA-256 in hex."""
        return {"sha256": binascii.a2b_base64(self._sha256).hex()}


def find_plain_targets(document: object, raw: bytes) -> slice | None:
    """Return where `signed.targets` is in `raw`, the text of `document`, if all targets are plain; otherwise None.

    `raw` must also be canonical up to that place. The place is computed from the members before it and not searched
    for, because the same text may occur elsewhere.
    """
    if not isinstance(document, dict):
        return None
    before = {name: value for name, value in document.items() if name < "signed"}
    return _find(document, raw, _TUF, opening=to_json({**before, "signed": {}})[:-2])


def find_plain_notary_targets(document: object, raw: bytes) -> slice | None:
    """Return where `signed.targets` is in a Notary v1 file, which writes `signed` before `signatures`, or None."""
    return _find(document, raw, _NOTARY, opening=b'{"signed":{') if isinstance(document, dict) else None


def _find(document: dict[str, object], raw: bytes, grammar: re.Pattern[bytes], *, opening: bytes) -> slice | None:
    """Return where plain targets are in `raw`, or None. `opening`: the text before the first member of `signed`."""
    signed = document.get("signed")
    if not isinstance(signed, dict) or "targets" not in signed:
        return None
    members_before = {name: value for name, value in signed.items() if name < "targets"}
    opening += to_json(members_before)[1:-1] + (b',"targets":' if members_before else b'"targets":')
    match = grammar.match(raw, len(opening)) if raw.startswith(opening) else None
    return slice(*match.span()) if match else None
