"""Read how many rows of a list a request asks for."""

from __future__ import annotations

import re
from typing import Final

from trustserver.errors import BadRequest

_NUMBER: Final = re.compile(r"[0-9]{1,4}", re.ASCII)


def page_size(text: str, *, most: int) -> int:
    """Return the number that the parameter `limit` says. Raises: BadRequest."""
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= most:
        raise BadRequest(place="limit", reason=f"must be a number from 1 to {most}")
    return int(text)
