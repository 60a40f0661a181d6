"""Let a hook that stays open as many files as the system allows: each connection of a client is one, and more."""

from __future__ import annotations

import logging
import resource
from typing import Final

_log = logging.getLogger(__name__)
_ENOUGH: Final = 65_536
"""More than all connections of all hooks need."""


def allow_open_files() -> None:
    """Raise the limit of open files, where the system lets us.

    Where clients can use them all up, no trust server could be asked any more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:  # some systems report a hard limit that they do not accept
        _log.warning("the limit of open files stays at %d: %s", soft, error)
