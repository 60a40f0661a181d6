"""Check rollback memory: can it be read and written? Whether the server is older, `check_collection` finds out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from trustcli.doctor.findings import Finding
from trustcli.session import Session
from trustdata.gun import GUN

_CHECK = "memory"


def check_memory(session: Session, gun: GUN | None) -> Iterator[Finding]:
    """Return the findings about rollback memory. Raises: MemoryDamaged, FileExposed."""
    file = session.settings.memory_folder / "seen.json"
    memory = session.memory.load(gun if gun is not None else GUN(""))
    if not _can_be_written(file):
        yield Finding(
            check=_CHECK,
            severity="wrong",
            text=f"{file} cannot be written: what is verified now is not remembered, and hooks refuse every image",
            remedy=f"make {file.parent} a folder that this user may write",
            place=str(file),
        )
    if gun is None:
        text = f"{file} can be read" if file.exists() else "nothing was verified here before"
        yield Finding(check=_CHECK, severity="ok", text=text, place=str(file))
    elif memory is None:
        yield Finding(check=_CHECK, severity="ok", text=f"nothing of {gun} was verified here before", place=str(file))
    elif memory.refreshed is None:
        text = f"what was verified of {gun}, here or by an agent, is remembered; a whole refresh was not made here yet"
        yield Finding(check=_CHECK, severity="ok", text=text, place=str(file))
    elif memory.refreshed > session.at:
        yield Finding(
            check=_CHECK,
            severity="wrong",
            text=f"{gun} was last verified on {memory.refreshed:%Y-%m-%d %H:%M} UTC, which is still to come: "
            "the clock here was ahead then, or is behind now",
            remedy="set the clock here",
            place=str(file),
        )
    else:
        text = f"{gun} was last verified on {memory.refreshed:%Y-%m-%d %H:%M} UTC"
        yield Finding(check=_CHECK, severity="ok", text=text, place=str(file))


def _can_be_written(file: Path) -> bool:
    """Return whether the file could be replaced, judging by the nearest folder that exists."""
    folder = file.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
