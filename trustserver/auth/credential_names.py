"""Which texts can be the names of the API tokens and users of this server."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", re.ASCII)
NAME_RULE: Final = "must be 1 to 64 letters, digits, ., _, @, + and -"
"""What such a name is, as part of error messages."""


def is_credential_name(text: str) -> bool:
    """Return whether a token or user can have this name."""
    return bool(_NAME.fullmatch(text))
