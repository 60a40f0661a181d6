"""Put tags in the order in which they were probably made."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_NUMBER: Final = re.compile(r"([0-9]+)")
_VERSION: Final = re.compile(r"^v(?=[0-9])")


def newest_first(tags: Iterable[str]) -> list[str]:
    """Return tags by natural version order, descending: 1.10 before 1.9. Names without a number come first.

    `latest` and `stable` are most often what is pulled.
    """
    return sorted(sorted(tags), key=_natural, reverse=True)


def _natural(tag: str) -> tuple[bool, list[tuple[bool, int, str]]]:
    parts = [part for part in _NUMBER.split(_VERSION.sub("", tag)) if part]
    has_number = any(part.isdigit() for part in parts)
    return not has_number, [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
