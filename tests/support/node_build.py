"""Build what machines without Python get, and unpack it as the guide says."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.support.building import SOURCE, VERSION, run, tool


def build_node(folder: Path) -> Path:
    """The archive that `make node` makes."""
    tool("pyinstaller")
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder)}
    run("sh", SOURCE / "release" / "node.sh", f"{sys.prefix}/bin", folder, environ=environ)
    return folder / f"content-trust-{VERSION}-linux-{os.uname().machine}.tar.gz"


def unpacked_node(archive: Path, folder: Path) -> Path:
    """Unpack it and return the folder of programs."""
    run("tar", "--extract", "--file", archive, "--directory", folder, environ={"PATH": os.environ["PATH"]})
    return folder / "content-trust" / "bin"
