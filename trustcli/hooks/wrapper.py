"""The script that containerd executes: a fixed small text with the verifier's absolute path and its options.

containerd runs every entry of its bin_dir and passes no options of ours, so a script must hold them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keys.durable_file import sync_folder, write_durably
from trustcli.errors import SettingsUnusable

NAME: Final = "trust-image-verifier"
MAX_WRAPPER: Final = 16 * 1024  # bytes
_MODE: Final = 0o755
_HEAD: Final = (
    "#!/bin/sh\n"
    "# Written by `trust hook containerd`, which also replaces it. containerd executes every entry of this folder.\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapper:
    """What the script starts, as absolute paths. `config`, `state`: None to use containerd's own environment."""

    program: Path
    config: Path | None = None
    state: Path | None = None

    def text(self) -> str:
        """Return the script. Raises: SettingsUnusable (a path that cannot be written on one line)."""
        words = ["exec", shlex.quote(str(self.program))]
        for option, path in (("-config", self.config), ("-state", self.state)):
            if path is not None:
                words += [option, shlex.quote(str(path))]
        for path in (self.program, self.config, self.state):
            if path is not None and not str(path).isprintable():
                raise SettingsUnusable(place=str(path), reason="has a name that no script can hold on one line")
        return f'{_HEAD}{" ".join(words)} "$@"\n'


def parse_wrapper(text: str) -> Wrapper | None:
    """Read a script of ours; None for any other, also if a single byte of ours was changed."""
    try:
        words = shlex.split(text.removeprefix(_HEAD))
    except ValueError:
        return None
    given = dict(zip(words[2:-1:2], words[3:-1:2], strict=False))
    if len(words) < 3 or set(given) - {"-config", "-state"}:
        return None
    found = Wrapper(
        program=Path(words[1]),
        config=Path(given["-config"]) if "-config" in given else None,
        state=Path(given["-state"]) if "-state" in given else None,
    )
    with contextlib.suppress(SettingsUnusable):
        return found if found.text() == text else None
    return None


def verifier_program() -> Path:
    """Return the path of the verifier that belongs to this installation. Raises: SettingsUnusable."""
    beside = Path(sys.executable).absolute().parent / NAME
    found = beside if os.access(beside, os.X_OK) else shutil.which(NAME)
    if found is None:
        raise SettingsUnusable(place=NAME, reason=f"is not installed: neither in {beside.parent} nor in PATH")
    return Path(found).absolute()


def write_wrapper(bin_dir: Path, wrapper: Wrapper) -> Path:
    """Write the script into the folder, replacing an older one; containerd sees the old file or the whole new one.

    The new file is first written beside the folder, since containerd executes temporary files in it, too. If the folder
    is a mount of its own, it is written inside, and a pull at that moment is refused. Raises: OSError,
    SettingsUnusable.
    """
    content = wrapper.text().encode()
    target = bin_dir / NAME
    beside = bin_dir.parent / f".{NAME}.new"
    try:
        write_durably(beside, content, mode=_MODE)
        os.replace(beside, target)  # noqa: PTH105 - plainly the system call, whose errors are handled below
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        if error.errno not in {errno.EXDEV, errno.EACCES, errno.EROFS, errno.EPERM}:
            raise
        write_durably(target, content, mode=_MODE)
    sync_folder(bin_dir)
    return target
