"""Digests of images and files: SHA-256 as 64 lower-case hexadecimal digits, in names with `sha256:` before them."""

from __future__ import annotations

import re
from typing import Final

from trustdata.errors import InvalidName

_PREFIX: Final = "sha256:"
_HEX: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


def is_sha256_hex(text: str) -> bool:
    """Return whether this is a SHA-256 hash in lower-case hexadecimal digits, without a prefix."""
    return _HEX.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Return whether this is a digest: `sha256:` and 64 lower-case hexadecimal digits."""
    return text.startswith(_PREFIX) and is_sha256_hex(text.removeprefix(_PREFIX))


def parse_digest(text: str) -> str:
    """Check a digest and return it: `sha256:` and 64 lower-case hexadecimal digits. Raises: InvalidName."""
    if not is_digest(text):
        raise InvalidName(kind="digest", name=text, reason="must be sha256: and 64 lower-case hexadecimal digits")
    return text


def hex_of(digest: str) -> str:
    """Return the hexadecimal digits of a digest."""
    return digest.removeprefix(_PREFIX)
