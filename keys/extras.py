"""How the libraries are installed that only some keys, shares of backups or passwords need: extras of this project."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

_OF_INSTALL_SH = ".installed"
"""What `install.sh` leaves in an environment that it has made."""


def how_to_install(requirement: str) -> str:
    """Return the command that installs an extra beside the program that runs: `pkcs11`, or `content-trust[pkcs11]`.

    An environment of `install.sh` holds what the locks name and nothing else, so the same script adds to it. Any other
    has this project already: its pip takes from the index what the extra needs, and nothing by our name.
    """
    extra = requirement.partition("[")[2].removesuffix("]") or requirement
    prefix = Path(sys.prefix)
    if getattr(sys, "frozen", False):
        return f"sh install.sh --extras {extra} FOLDER, in the folder of the source"  # no index has our name
    if (prefix / _OF_INSTALL_SH).is_file():
        return f"sh install.sh --extras {extra} {shlex.quote(str(prefix))}, in the folder of the source"
    return f"{shlex.quote(str(prefix / 'bin' / 'python'))} -m pip install 'content-trust[{extra}]'"
