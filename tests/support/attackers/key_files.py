"""Key files that would cost much if anything about reading them took more than linear time."""

from __future__ import annotations

import base64
from typing import Final

HOSTILE: Final[dict[str, bytes]] = {
    "headers": b"-----BEGIN A-----\n" + b"a: b\n" * 13_000,
    "beginnings": b"-----BEGIN A-----" * 3_800,
    "blocks": (b"-----BEGIN A-----\nMAA=\n-----END A-----\n" * 1_700)[:65_536],
    "a label without an end": b"-----BEGIN " + b"A" * 65_000,
    "blanks": b"-----BEGIN A-----\n" + b" " * 65_000 + b"-----END A-----",
    "backslashes": b"-----BEGIN A-----\n" + b"\\" * 65_000 + b"-----END A-----",
    "headers in one line": b"-----BEGIN A----- " + b"a: b " * 13_000 + b"-----END A-----",
    "base64 of base64 of base64": base64.b64encode(base64.b64encode(base64.b64encode(b"A" * 27_000))),
    "an unfinished page": b"<" * 65_536,
    "UTF-16": b"\xff\xfe" + b"-\0" * 32_000,
}
"""Each of at most 64 KiB."""
