"""Install the plugin of Docker's CLI: two small scripts that start this very installation.

Docker looks into `cli-plugins` of its configuration folder before any other folder (docker/cli, cli-plugins/manager).
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Final

from keys.durable_file import write_durably
from trustcli.errors import HookNotInstalled
from trustcli.hooks.docker_plugin import NAMES

FOLDER: Final = "cli-plugins"
FILES: Final = tuple(f"docker-{name}" for name in NAMES)
_MODE: Final = 0o755
_MOST_BYTES: Final = 16 * 1024
_HEAD: Final = (
    "#!/bin/sh\n# Written by `trust plugin install`, which also replaces it; `trust plugin uninstall` removes it.\n"
)
_PROGRAM: Final = "docker-trust"
_START: Final = "from trustcli.__main__ import docker_trust; docker_trust()"


def install(folder: Path) -> list[Path]:
    """Write both scripts, replacing older ones of ours. Raises: HookNotInstalled, before anything is written."""
    content = _script().encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in _files(folder):
            if _is_there(file) and not _is_ours(file):
                raise HookNotInstalled(place=str(file), reason="another program's plugin lies there; it is left alone")
        for file in _files(folder):
            write_durably(file, content, mode=_MODE)
    except OSError as error:
        raise HookNotInstalled(place=str(folder), reason=error.strerror or type(error).__name__) from error
    return _files(folder)


def uninstall(folder: Path) -> list[Path]:
    """Remove the scripts that are ours and return their paths. Raises: HookNotInstalled if one cannot be removed."""
    removed = []
    try:
        for file in _files(folder):
            if _is_ours(file):
                file.unlink()
                removed.append(file)
    except OSError as error:
        raise HookNotInstalled(place=str(folder), reason=error.strerror or type(error).__name__) from error
    return removed


def _script() -> str:
    """Return the script. Raises: HookNotInstalled if this Python's path cannot be written in a script.

    -P: a file in the folder where docker is called must not be imported in place of one of our modules. A build for
    machines without Python has the plugin as a program of its own.
    """
    python = Path(sys.executable).absolute() if sys.executable else None
    if python is None or not str(python).isprintable():
        raise HookNotInstalled(place=str(python or ""), reason="this Python has no path that a script can name")
    if getattr(sys, "frozen", False):
        return f'{_HEAD}exec {shlex.quote(str(python.with_name(_PROGRAM)))} "$@"\n'
    return f'{_HEAD}exec {shlex.quote(str(python))} -P -c {shlex.quote(_START)} "$@"\n'


def _files(folder: Path) -> list[Path]:
    return [folder / name for name in FILES]


def _is_there(file: Path) -> bool:
    return os.path.lexists(file)


def _is_ours(file: Path) -> bool:
    """Return whether we wrote the file; False if there is none. Raises: OSError if it cannot be read."""
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(_MOST_BYTES).startswith(_HEAD.encode())
