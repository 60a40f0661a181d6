"""Read containerd's bin_dir: it executes each entry at every pull, so each one must be a program."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from trustcli.hooks.wrapper import MAX_WRAPPER, NAME, Wrapper, parse_wrapper


@dataclass(frozen=True, slots=True, kw_only=True)
class HookFile:
    """One entry of the folder.

    `problem`: why containerd cannot execute it, which blocks every pull; None for a program. `ours`: what it calls, if
    it is our verifier or the script that starts it.
    """

    path: Path
    problem: str | None = None
    ours: Wrapper | None = None

    @property
    def name(self) -> str:
        return self.path.name


def entries(folder: Path) -> list[HookFile]:
    """Return all entries in containerd's order. Raises: OSError (FileNotFoundError if there is no such folder)."""
    return [_entry(folder / name) for name in sorted(os.listdir(folder), key=os.fsencode)]  # noqa: PTH208 - names only


def open_to_others(path: Path) -> bool:
    """Return whether others than the owner may change the file, or the folder's entries. Raises: OSError.

    By the modes alone, since the folder belongs to whoever has installed containerd.
    """
    return bool(path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _entry(path: Path) -> HookFile:
    try:
        status = path.stat()
    except OSError as error:
        return HookFile(
            path=path, problem=f"leads nowhere ({error.strerror})" if path.is_symlink() else str(error.strerror)
        )
    if not stat.S_ISREG(status.st_mode):
        return HookFile(path=path, problem="is a folder" if stat.S_ISDIR(status.st_mode) else "is no file")
    if not status.st_mode & (stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH):
        return HookFile(path=path, problem="is not executable")
    return HookFile(path=path, ours=_ours(path))


def _ours(path: Path) -> Wrapper | None:
    target = path.resolve()
    if target.name == NAME and target.parent != path.parent.resolve():
        return Wrapper(program=target)
    try:
        with path.open("rb") as file:
            return parse_wrapper(file.read(MAX_WRAPPER).decode())
    except (OSError, ValueError):
        return None
