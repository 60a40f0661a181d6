"""Prepare a Python with a given pip, whose virtual environments are copied: making one takes seconds."""

from __future__ import annotations

import shutil
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from tests.packaging.conftest import run
from tests.packaging.tiny_wheels import write_wheel


def _bundles(pythons: list[Path]) -> Iterator[Path]:
    """Find the wheels of pip that come with a Python (`ensurepip`), or that Debian keeps for it."""
    question = "import ensurepip as e, sysconfig as s; print(e.__path__[0], s.get_config_var('WHEEL_PKG_DIR') or '')"
    for python in pythons:
        for folder in run(python, "-c", question).stdout.split():
            yield from Path(folder).rglob("pip-*.whl")


def bundled_pips() -> dict[Version, Path]:
    """Find every pip that the Python of the tests, python3.11 and Debian's python3.11 bring along."""
    found = [shutil.which(name) for name in ("python3.11", "/usr/bin/python3.11")]
    pythons = [Path(sys.executable), *(Path(path) for path in found if path is not None)]
    return {Version(wheel.name.split("-")[1]): wheel for wheel in _bundles(pythons)}


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """A program that answers as the Python of the tests, except that its environments are copies of `template`."""

    program: Path
    template: Path


def stand_in(folder: Path, pip: Path) -> StandIn:
    """Prepare a Python whose environments have this pip."""
    folder.mkdir()
    real: str = sys._base_executable  # type: ignore[attr-defined]
    template = folder / "template"
    run(real, "-m", "venv", "--without-pip", template)
    (packages,) = template.glob("lib/python3*/site-packages")
    with zipfile.ZipFile(pip) as archive:
        archive.extractall(packages)
    # Once, so that the copies find compiled what pip imports.
    own_pip = (template / "bin" / "python", "-m", "pip")
    nothing = write_wheel(folder, "nothing", "1.0")
    run(*own_pip, "install", "--no-index", "--find-links", folder, "--target", folder / "target", nothing)
    run(*own_pip, "download", "--no-index", "--find-links", folder, "--dest", folder / "target", "nothing")
    run(*own_pip, "check")
    return StandIn(program=fake_python(folder / "python", f'cp -a "{template}/." "$3"', real=real), template=template)


def fake_python(path: Path, making: str, *, version: str = "3.11", real: str = "", can_make: bool = True) -> Path:
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
