"""Where the agent's socket lies, and who could have put another one there."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Final

VARIABLE: Final = "TRUST_AGENT"
DEFAULT: Final = "/run/content-trust/agent.sock"
"""The socket of a node's agent, which root runs."""
OFF: Final = "off"
_ROOT: Final = 0
_MAX_LINKS: Final = 40
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


def own_socket(environ: Mapping[str, str]) -> str:
    """Return where an agent that this user runs listens, if it is not told."""
    folder = environ.get("XDG_RUNTIME_DIR", "")
    return f"{folder}/content-trust/agent.sock" if folder.startswith("/") and os.geteuid() != _ROOT else DEFAULT


def socket_to_ask(environ: Mapping[str, str], setting: str | None) -> str | None:
    """Return where an agent is looked for: by the variable, else the setting, else this user's own, else the node's.

    `environ`: without the variable for hooks whose settings file is named. None: nowhere, since one of them is `off`.
    """
    found = environ.get(VARIABLE) or setting
    if not found:
        own = own_socket(environ)
        found = own if os.path.lexists(own) else DEFAULT
    return None if found == OFF else found


def trusted_uids() -> frozenset[int]:
    """Return the users whose agent is believed: root, and who asks."""
    return frozenset({_ROOT, os.geteuid()})


def why_unsafe(path: str, uids: frozenset[int], *, socket_itself: bool = True) -> str | None:
    """Return what lets other users than `uids` put a socket there, as a sentence; None if nothing does.

    Every folder on the way counts, and every symbolic link: each belongs to one of `uids`, and no other may write to
    it. In a folder with the sticky bit nobody replaces what somebody else has made; but the socket's own folder must
    not be one. `socket_itself`: there must be a socket, of one of them, too.
    """
    try:
        return _walked(os.path.abspath(path), uids, socket_itself=socket_itself)  # noqa: PTH100 - cheap to import
    except OSError as error:
        return f"{path}: {error.strerror or type(error).__name__}"


def _walked(path: str, uids: frozenset[int], *, socket_itself: bool) -> str | None:
    here, parts, links = "/", [part for part in path.split("/") if part], 0
    while True:
        status = os.lstat(here)
        found = _unsafe_folder(here, status, uids, is_last=len(parts) <= 1)
        if found is not None or not parts:
            return found or f"{path} is a folder"
        name = parts.pop(0)
        there = os.path.dirname(here) if name == ".." else os.path.join(here, name)  # noqa: PTH118, PTH120
        if not parts and not socket_itself:
            return None
        status = os.lstat(there)
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if status.st_uid not in uids or links > _MAX_LINKS:
                return f"{there} is a link of user {status.st_uid}, or one of too many"
            target = os.readlink(there)  # noqa: PTH115
            here = "/" if target.startswith("/") else here
            parts = [part for part in target.split("/") if part not in {"", "."}] + parts
        elif parts:
            here = there
        elif not stat.S_ISSOCK(status.st_mode):
            return f"{there} is no socket"
        else:
            return None if status.st_uid in uids else f"{there} belongs to user {status.st_uid}"


def _unsafe_folder(path: str, status: os.stat_result, uids: frozenset[int], *, is_last: bool) -> str | None:
    if not stat.S_ISDIR(status.st_mode):
        return f"{path} is no folder"
    if status.st_uid not in uids:
        return f"{path} belongs to user {status.st_uid}"
    sticky = bool(status.st_mode & stat.S_ISVTX) and not is_last
    if status.st_mode & _OTHERS_WRITE and not sticky:
        return f"{path} has mode {stat.S_IMODE(status.st_mode):o}, so others may write to it"
    return None
