"""Choose what a client gets of a stored response: 304, its compressed form, or the response as it is.

The rules are those of RFC 9110, sections 12 and 13. Three places use them: server/fast_path.py, which reads the bytes
of a request; api/fast_read.py, in front of FastAPI; and api/tuf.py, which makes the compressed form.
"""

from __future__ import annotations

from collections.abc import Iterable

from trustserver.responses.gzip import accepts_gzip, packed_etag, packed_unchanged
from trustserver.responses.ready import ReadyResponse

_ANY = b"*"


def asked(headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    """Return the values of If-None-Match and Accept-Encoding in a request's headers; empty for a missing header.

    If a header comes twice, the two values are joined to one list.
    """
    condition = codings = b""
    for name, value in headers:
        if name == b"accept-encoding":
            codings = codings + b"," + value if codings else value
        elif name == b"if-none-match":
            condition = condition + b"," + value if condition else value
    return condition, codings


def select(answer: ReadyResponse, condition: bytes, codings: bytes) -> ReadyResponse | None:
    """Choose the form of a stored response that a client gets; None if the compressed form must be made first.

    `condition`: the value of If-None-Match. `codings`: the value of Accept-Encoding. A client that accepts gzip may
    have stored either form, so the entity tag of either matches.
    """
    packs = answer.packable and accepts_gzip(codings)
    if condition and answer.unchanged is not None:
        if condition == answer.etag:  # the usual case, without splitting the list
            return answer.unchanged
        # The weak comparison, as RFC 9110, 13.1.2 asks.
        tags = {tag.strip().removeprefix(b"W/") for tag in condition.split(b",")}
        if answer.etag in tags or _ANY in tags:
            return answer.unchanged
        if packs and packed_etag(answer.etag) in tags:
            return packed_unchanged(answer.unchanged)
    return answer.packed if packs else answer
