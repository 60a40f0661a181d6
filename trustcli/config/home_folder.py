"""Find the home folder of the user who runs the program: everything that lies there by default is found through it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trustcli.errors import SettingsUnusable


def home_folder(environ: Mapping[str, str], *, instead: str) -> Path:
    """Return `$HOME`, or what the machine knows of the user. `instead`: what to give where there is neither.

    Raises: SettingsUnusable (HOME is not set, and the machine does not know the user, as in many containers).
    """
    if environ.get("HOME"):
        return Path(environ["HOME"])
    try:
        return Path.home()
    except RuntimeError as error:
        raise SettingsUnusable(place="HOME", reason=f"is not set; set it, or give {instead}") from error


def expanded(path: str) -> Path:
    """Return a path as somebody wrote it, with a home folder for `~` or `~NAME` at its beginning.

    Raises: SettingsUnusable (there is no such home folder).
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        reason = "begins with a home folder that is not known here; write the whole path"
        raise SettingsUnusable(place=path, reason=reason) from error
