"""Read containerd's configuration files: the main file and its imports, in containerd's order."""

from __future__ import annotations

import errno
import os
import stat
import tomllib
from collections.abc import Iterator, Sequence
from glob import glob
from pathlib import Path
from typing import Final

from keys.file_access import open_at_once
from trustcli.doctor.containerd.config import ConfigFile, imports
from trustcli.doctor.findings import Finding

MAX_CONFIG_FILE: Final = 4 * 1024 * 1024
"""Largest accepted size in bytes; containerd's own default configuration has 10 000."""
_MAX_FILES: Final = 200


def load_config(main: Path) -> tuple[list[ConfigFile], list[Finding]]:
    """Return the parsed files in containerd's order, and a finding for each file that cannot be read."""
    files: list[ConfigFile] = []
    findings: list[Finding] = []
    pending = [str(main.absolute())]
    seen: set[str] = set()
    while pending and len(seen) < _MAX_FILES:
        path = pending.pop(0)
        if path in seen:
            continue
        seen.add(path)
        try:
            document = tomllib.loads(_content(path).decode())
        except OSError as error:
            findings.append(_unreadable(path, error.strerror or type(error).__name__))
            continue
        except (ValueError, RecursionError) as error:
            findings.append(_unreadable(path, f"is not TOML: {error}"))
            continue
        file = ConfigFile(path=path, document=document)
        files.append(file)
        pending += _resolved(path, imports(file))
    if pending:
        findings.append(_unreadable(pending[0], f"is imported after {_MAX_FILES} others"))
    return files, findings


def _content(path: str) -> bytes:
    """Return the file's bytes.

    Raises: OSError (also for a pipe or device, which could block), ValueError (not a path).
    """
    _check_regular(os.stat(path))  # noqa: PTH116 - before opening it, since opening some devices has effects
    with open(path, "rb", opener=open_at_once) as file:
        _check_regular(os.fstat(file.fileno()))
        raw = file.read(MAX_CONFIG_FILE + 1)
    if len(raw) > MAX_CONFIG_FILE:
        raise OSError(errno.EFBIG, f"larger than {MAX_CONFIG_FILE} bytes")
    return raw


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):  # reading a folder fails by itself
        raise OSError(errno.EINVAL, "is no file")


def _resolved(parent: str, names: Sequence[str]) -> Iterator[str]:
    """Return the paths of imports as containerd does: relative to the importing file's folder, `*` expanded."""
    for name in names:
        path = os.path.normpath(os.path.join(os.path.dirname(parent), name))  # noqa: PTH118, PTH120 - Go's own steps
        if "*" in path:
            yield from sorted(glob(path, include_hidden=True))  # noqa: PTH207 - hidden files, too, as Go has it
        else:
            yield path


def _unreadable(path: str, reason: str) -> Finding:
    return Finding(
        check="config",
        severity="wrong",
        text=f"cannot be judged: {reason}; containerd does not start with it, or goes by its defaults",
        remedy="name the file that containerd is started with (--config), or put it right",
        place=path,
    )
