"""Prepare a Python with a given pip, whose virtual environments are copied: making one takes seconds."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from packaging.version import Version

from tests.support.building import run
from tests.support.tiny_wheels import write_wheel

_BUNDLES = """
import ensurepip, pathlib, sysconfig
for folder in filter(None, [*ensurepip.__path__, sysconfig.get_config_var("WHEEL_PKG_DIR")]):
    print(*pathlib.Path(folder).rglob("pip-*.whl"), sep="\\n")
"""
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
_OLDEST_THAT_RUNS = Version("23.2" if sys.version_info >= (3, 12) else "20")


def bundled_pips() -> dict[Version, Path]:
    """Find every pip that the Python of the tests, python3.11 and Debian's python3 bring along, and that runs here."""
    pips = {}
    for python in (sys.executable, "python3.11", "/usr/bin/python3"):
        if shutil.which(python) is None:
            continue
        # A Python without `ensurepip`, as Debian's may be, or a shim without a Python behind it, brings none.
        answer = subprocess.run([python, "-c", _BUNDLES], capture_output=True, text=True, check=False)
        for wheel in map(Path, answer.stdout.split()):
            pips[Version(wheel.name.split("-")[1])] = wheel
    return {version: wheel for version, wheel in pips.items() if version >= _OLDEST_THAT_RUNS}


def stand_in(folder: Path, pip: Path) -> Path:
    """Make a program that answers as the Python of the tests, but whose new environments are copies with this pip."""
    folder.mkdir()
    real: str = sys._base_executable  # type: ignore[attr-defined]
    template = folder / "template"
    run(real, "-m", "venv", "--without-pip", template)
    (packages,) = template.glob("lib/python3*/site-packages")
    with zipfile.ZipFile(pip) as archive:
        archive.extractall(packages)
    script = template / "bin" / "pip"
    script.write_text('#!/bin/sh\nexec "$(dirname "$0")/python" -m pip "$@"\n')
    script.chmod(0o755)
    # Once, so that the copies find compiled what pip imports.
    own_pip = (template / "bin" / "python", "-m", "pip")
    nothing = write_wheel(folder, "nothing", "1.0")
    run(*own_pip, "install", "--no-index", "--find-links", folder, "--target", folder / "target", nothing)
    run(*own_pip, "download", "--no-index", "--find-links", folder, "--dest", folder / "target", "nothing")
    run(*own_pip, "check")
    return fake_python(folder / "python", f'cp -a "{template}/." "$3"', real=real)


def fake_python(path: Path, making: str, *, version: str = HERE, real: str = "", can_make: bool = True) -> Path:
    """Write a program that passes for a Python of this version; it makes environments with the command `making`."""
    path.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        f"  *_base_executable*) echo '{version} {path}' ;;\n"
        f"  *ensurepip*) exit {0 if can_make else 1} ;;\n"
        f'  "-m venv "*) {making} ;;\n'
        f'  *) exec "{real}" "$@" ;;\n'
        "esac\n"
    )
    path.chmod(0o755)
    return path
