"""Choose what a reader gets of a stored answer: 304, the compressed form, or the answer as it is (RFC 9110, 12 and 13).

Decided here for every way in: from the bytes of a request (`server.fast_path`), in front of the application
(`api.fast_read`), and behind, where the compressed form is made (`api.tuf`).
"""

from __future__ import annotations

from collections.abc import Iterable

from trustserver.responses.cache import Answer
from trustserver.responses.gzip import accepts_gzip, packed_etag, packed_unchanged

_ANY = b"*"


def asked(headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    """Return the values of If-None-Match and Accept-Encoding among the headers; empty if there is no such header.

    Two headers of one name are one list.
    """
    condition = codings = b""
    for name, value in headers:
        if name == b"accept-encoding":
            codings = codings + b"," + value if codings else value
        elif name == b"if-none-match":
            condition = condition + b"," + value if condition else value
    return condition, codings


def select(answer: Answer, condition: bytes, codings: bytes) -> Answer | None:
    """Choose the form of an answer: status, headers and body in one value.

    A reader who accepts gzip may have either form, so the tag of either is a match. None: the compressed form is wanted
    and does not exist yet.
    """
    packs = answer.packable and accepts_gzip(codings)
    if condition and answer.unchanged is not None:
        if condition == answer.etag:  # nearly always, and so needs no list
            return answer.unchanged
        # The weak comparison, which RFC 9110 asks for here.
        tags = {tag.strip().removeprefix(b"W/") for tag in condition.split(b",")}
        if answer.etag in tags or _ANY in tags:
            return answer.unchanged
        if packs and packed_etag(answer.etag) in tags:
            return packed_unchanged(answer.unchanged)
    return answer.packed if packs else answer
