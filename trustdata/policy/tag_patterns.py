"""Patterns of tags in a policy: `*` stands for any characters, `?` for one, everything else for itself."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Final

from trustdata.gun import MAX_TAG_LENGTH

_PATTERN: Final = re.compile(rf"[A-Za-z0-9._*?-]{{1,{MAX_TAG_LENGTH}}}", re.ASCII)
TAG_PATTERN_RULE: Final = "must be a tag, in which * stands for any characters and ? for one"
"""What a valid pattern is, as part of error messages."""


def is_tag_pattern(text: str) -> bool:
    """Return whether the text is a pattern of tags."""
    return _PATTERN.fullmatch(text) is not None


def matches_tag(pattern: str, tag: str) -> bool:
    """Return whether a pattern matches a tag."""
    return fnmatchcase(tag, pattern)  # without brackets in the pattern, only * and ? mean more than themselves
