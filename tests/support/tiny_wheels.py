"""Wheels of a few bytes: releases for a folder that plays the index. This file is also a build backend (PEP 517)."""

import base64
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_wheel(
    folder: Path, name: str, version: str, *, files: Mapping[str, str] | None = None, requires: Sequence[str] = ()
) -> Path:
    """Write a wheel with these files (by default one module that names its version), the same bytes each time."""
    module = name.replace("-", "_")
    contents = {f"{module}.py": f'VERSION = "{version}"\n'} if files is None else dict(files)
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [
        f"Provides-Extra: {part.partition('extra == ')[2].strip(chr(34))}" for part in requires if "extra" in part
    ]
    metadata += [f"Requires-Dist: {part}" for part in requires]
    about = f"{module}-{version}.dist-info"
    contents[f"{about}/METADATA"] = "\n".join(metadata) + "\n"
    contents[f"{about}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    rows = [f"{path},sha256={_record_hash(text)},{len(text.encode())}" for path, text in contents.items()]
    contents[f"{about}/RECORD"] = "\n".join([*rows, f"{about}/RECORD,,"]) + "\n"
    wheel = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in contents.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return wheel


def _record_hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


# --- the hooks of a build backend. It builds the project `tiny` of test_install.py; its own wheel holds this file.


def build_wheel(wheel_directory: str, config_settings: Any = None, metadata_directory: Any = None) -> str:
    """Build the project in the working directory; with a file `kill` there, stop the whole installation dead."""
    _die_if_told()
    return write_wheel(Path(wheel_directory), "tiny", "1.0", requires=["plugin>=1"]).name


def build_editable(wheel_directory: str, config_settings: Any = None, metadata_directory: Any = None) -> str:
    """The same, as a path to the working directory."""
    _die_if_told()
    files = {"tiny.pth": f"{Path.cwd()}\n"}
    return write_wheel(Path(wheel_directory), "tiny", "1.0", files=files, requires=["plugin>=1"]).name


def _die_if_told() -> None:
    import os
    import signal

    if Path("kill").exists():
        Path("kill").unlink()
        os.killpg(0, signal.SIGKILL)
