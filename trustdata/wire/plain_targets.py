"""The targets of a file as our own writers make them of tags: a length and one SHA-256 each, and nothing else.

A file of 10 000 tags is 10 000 such lines. One pass of a closed grammar over its bytes vouches for all of them, where
looking at every parsed value takes three times as long.
"""

from __future__ import annotations

import binascii
import re
from typing import Any, Final

from trustdata.model import TargetFile
from trustdata.wire.canonical_json import to_json

_HEX: Final = rb"[0-9a-f]{64}"
_BASE64: Final = rb"[A-Za-z0-9+/]{43}="


def _grammar(sha256: bytes) -> re.Pattern[bytes]:
    one = rb'"[^"\\]+":\{"hashes":\{"sha256":"%b"\},"length":(?:0|[1-9][0-9]{0,14})\}' % sha256
    return re.compile(rb"\{(?:%b(?:,%b)*+)?\}" % (one, one))


_TUF: Final = _grammar(_HEX)
_NOTARY: Final = _grammar(_BASE64)


class PlainTarget(TargetFile):
    """A target that the grammar has vouched for: made without python-tuf looking at its length and hash again."""

    def __init__(self, target: Any, path: str) -> None:
        """`target`: a parsed object with `length` and `hashes`."""
        self.length = target["length"]
        self.hashes = target["hashes"]
        self.path = path
        self.unrecognized_fields = {}


class PlainNotaryTarget(TargetFile):
    """The same of Notary v1, whose hash is base64. It becomes hex when somebody asks: nobody asks for most of them."""

    def __init__(self, target: Any, path: str) -> None:
        """`target`: a parsed object with `length` and `hashes`."""
        self.length = target["length"]
        self._sha256 = target["hashes"]["sha256"]
        self.path = path
        self.unrecognized_fields = {}

    @property
    def hashes(self) -> dict[str, str]:  # type: ignore[override]  # python-tuf has an attribute here
        """SHA-256 in hex."""
        return {"sha256": binascii.a2b_base64(self._sha256).hex()}


def vouched(document: object, raw: bytes) -> slice | None:
    """Where in `raw`, the text of `document`, `signed.targets` stands; None unless `raw` is canonical up to there and
    all targets are plain.

    The place is computed from the members before it, not searched for: the same text may stand elsewhere.
    """
    if not isinstance(document, dict):
        return None
    before = {name: value for name, value in document.items() if name < "signed"}
    return _place(document, raw, _TUF, opening=to_json({**before, "signed": {}})[:-2])


def vouched_by_notary(document: object, raw: bytes) -> slice | None:
    """The same for Notary v1, which writes `signed` before `signatures`."""
    return _place(document, raw, _NOTARY, opening=b'{"signed":{') if isinstance(document, dict) else None


def _place(document: dict[str, object], raw: bytes, grammar: re.Pattern[bytes], *, opening: bytes) -> slice | None:
    """`opening`: the text before the first member of `signed`."""
    signed = document.get("signed")
    if not isinstance(signed, dict) or "targets" not in signed:
        return None
    earlier = {name: value for name, value in signed.items() if name < "targets"}
    opening += to_json(earlier)[1:-1] + (b',"targets":' if earlier else b'"targets":')
    found = grammar.match(raw, len(opening)) if raw.startswith(opening) else None
    return slice(*found.span()) if found else None
