"""Read heads of requests, and refuse those that two programs may read differently: the ground of request smuggling.

RFC 9112 lets a recipient be lenient: join folded lines, take a bare LF for the end of a line, let Transfer-Encoding win
over Content-Length. Here all of these are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from trustcli.hooks.serving.messages import Headers

END: Final = b"\r\n\r\n"
_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE: Final = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e]+) HTTP/([0-9]\.[0-9])")
_FIELD: Final = re.compile(rb"(" + _TOKEN + rb"):([^\x00-\x08\x0a-\x1f\x7f]*)")
"""A header field on its line (RFC 9110, 5.1 and 5.5): its value holds no control character but a tab."""
_VERSIONS: Final = frozenset({b"1.0", b"1.1"})
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"host"})
_NUMBER: Final = re.compile(rb"[0-9]{1,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHead:
    """What stands before the body of a request. `version`: `1.0` or `1.1`.

    `fields`: names in lower case, values without the white space around them. `length`: of the body, in bytes; None
    where it comes in chunks.
    """

    method: str
    target: str
    version: str
    fields: Headers
    length: int | None

    def lists(self, name: bytes, option: bytes) -> bool:
        """Return whether a field that is a list, without regard to case, has an option (both in lower case)."""
        options = (value.lower().split(b",") for key, value in self.fields if key == name)
        return any(each.strip(b" \t") == option for listed in options for each in listed)


class RequestRefused(Exception):
    """What a client sent is not taken for a request. `status`: of the answer; `reason`: one sentence for people."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def read_head(head: bytes, *, fields: int) -> RequestHead:
    """Read a head, from the request line to its empty line. `fields`: the most header fields.

    Raises: RequestRefused.
    """
    request_line, *lines = head.removesuffix(END).split(b"\r\n")
    if len(lines) > fields:
        raise RequestRefused(431, f"more than {fields} header fields")
    found = _REQUEST_LINE.fullmatch(request_line)
    if found is None:
        raise RequestRefused(400, "the first line is no request: METHOD /path HTTP/1.1")
    method, target, version = found.groups()
    if version not in _VERSIONS:
        raise RequestRefused(505, "HTTP/1.1 is spoken, and HTTP/1.0")
    if method == b"CONNECT":  # after a success no answer has a body, and what follows is not HTTP (RFC 9110, 9.3.6)
        raise RequestRefused(501, "CONNECT is not spoken: nothing is passed through to elsewhere")
    if not target.startswith(b"/") or b"#" in target:
        raise RequestRefused(400, "the target of the request is no path")
    read, framing = _fields(lines)
    if version == b"1.1" and b"host" not in framing:
        raise RequestRefused(400, "Host is missing")
    length = _length(framing, http_1_0=version == b"1.0")
    return RequestHead(
        method=method.decode(), target=target.decode(), version=version.decode(), fields=read, length=length
    )


def _fields(lines: list[bytes]) -> tuple[Headers, dict[bytes, bytes]]:
    """Return the fields, and by name those of which there must be one alone. Raises: RequestRefused."""
    read: list[tuple[bytes, bytes]] = []
    framing: dict[bytes, bytes] = {}
    for line in lines:
        found = _FIELD.fullmatch(line)
        if found is None:
            if line[:1] in {b" ", b"\t"}:
                raise RequestRefused(400, "a header field goes on over two lines, which is obsolete (RFC 9112, 5.2)")
            raise RequestRefused(400, "a line of the head is no header field, or does not end with CRLF")
        name, value = found[1].lower(), found[2].strip(b" \t")
        if name in _FRAMING:
            if name in framing:
                raise RequestRefused(400, f"{name.decode()} is there twice")
            framing[name] = value
        read.append((name, value))
    return read, framing


def _length(seen: dict[bytes, bytes], *, http_1_0: bool) -> int | None:
    """Return the length of the body, None where it comes in chunks. Raises: RequestRefused."""
    coding, length = seen.get(b"transfer-encoding"), seen.get(b"content-length")
    if coding is not None and length is not None:
        raise RequestRefused(400, "both Content-Length and Transfer-Encoding say where the body ends")
    if coding is not None and (http_1_0 or coding.lower() != b"chunked"):
        raise RequestRefused(
            501 if not http_1_0 else 400, "no transfer coding but chunked is spoken, in HTTP/1.1 alone"
        )
    if length is not None and not _NUMBER.fullmatch(length):
        raise RequestRefused(400, "Content-Length is no number")
    return None if coding is not None else int(length or 0)
