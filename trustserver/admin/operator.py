"""Who runs an operator's command, for the record."""

from __future__ import annotations

import os
import pwd
from importlib.metadata import version

from trustserver.storage.events import Actor

KIND = "operator"
"""How somebody is authenticated who may write the database: by the machine."""


def operator() -> Actor:
    """Return the user of this machine that runs the command."""
    user = os.geteuid()
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:  # containers run programs as users that have no name
        name = str(user)
    return Actor(subject=f"{KIND}:{name}", kind=KIND, client=f"trust-server {version('content-trust')}")
