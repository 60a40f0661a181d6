"""Refuse heads of requests that two programs may read differently: the ground of request smuggling.

h11 parses; it is lenient where RFC 9112 lets a recipient be: it joins folded lines, takes a bare LF for the end of a
line, and lets Transfer-Encoding win over Content-Length. Here all of these are refused before h11 sees them.
"""

from __future__ import annotations

import re
from typing import Final

END: Final = b"\r\n\r\n"
_LINE: Final = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
"""What a line may hold: no control character but a tab (RFC 9110, 5.5)."""
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"host"})
_NUMBER: Final = re.compile(rb"[0-9]{1,18}")


class RequestRefused(Exception):
    """What a client sent is not taken for a request. `status`: of the answer; `reason`: one sentence for people."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def check_head(head: bytes, *, fields: int) -> None:
    """Check a head, from the request line to its empty line. `fields`: the most header fields.

    Raises: RequestRefused.
    """
    request_line, *lines = head.removesuffix(END).split(b"\r\n")
    if len(lines) > fields:
        raise RequestRefused(431, f"more than {fields} header fields")
    if not all(_LINE.fullmatch(line) for line in (request_line, *lines)):
        raise RequestRefused(400, "a line of the head holds a control character, or does not end with CRLF")
    seen: dict[bytes, bytes] = {}
    for line in lines:
        if line[:1] in {b" ", b"\t"}:
            raise RequestRefused(400, "a header field goes on over two lines, which is obsolete (RFC 9112, 5.2)")
        name, _, value = line.partition(b":")
        name = name.lower()
        if name in _FRAMING:
            if name in seen:
                raise RequestRefused(400, f"{name.decode()} stands twice")
            seen[name] = value.strip(b" \t")
    _check_framing(seen, http_1_0=request_line.endswith(b"HTTP/1.0"))
    target = request_line.split(b" ")[1:2]
    if not target or not target[0].startswith(b"/") or b"#" in target[0]:
        raise RequestRefused(400, "the target of the request is no path")


def _check_framing(seen: dict[bytes, bytes], *, http_1_0: bool) -> None:
    coding, length = seen.get(b"transfer-encoding"), seen.get(b"content-length")
    if coding is not None and length is not None:
        raise RequestRefused(400, "both Content-Length and Transfer-Encoding say where the body ends")
    if coding is not None and (http_1_0 or coding.lower() != b"chunked"):
        raise RequestRefused(
            501 if not http_1_0 else 400, "no transfer coding but chunked is spoken, in HTTP/1.1 alone"
        )
    if length is not None and not _NUMBER.fullmatch(length):
        raise RequestRefused(400, "Content-Length is no number")
