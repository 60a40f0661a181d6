"""The real locks with the real wheels: what they name is installed, by the pip of this Python and by the oldest."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.building import SOURCE, VERSION, copy_of_the_source, run
from tests.support.locks import RUNS, WHOLE, Locked
from tests.support.pythons import bundled_pips, stand_in
from tests.support.tiny_wheels import write_wheel

pytestmark = pytest.mark.long

_NEWER = ("coverage", "hatchling", "pytest-cov", "typer", "urllib3")


def _here(locked: dict[str, Locked]) -> dict[str, str]:
    """Name and version of what counts on this platform, and of ourselves."""
    counts = {}
    for name, entry in locked.items():
        marker = Requirement(f"{name} ; {entry.marker}" if entry.marker else name).marker
        if marker is None or marker.evaluate():
            counts[name] = entry.version
    return {**counts, "content-trust": VERSION}


@pytest.fixture
def index(tmp_path: Path, locked_wheels: Path) -> Path:
    """The locked wheels, and newer releases of some of them."""
    folder = tmp_path / "index"
    folder.mkdir()
    for wheel in locked_wheels.glob("*.whl"):
        (folder / wheel.name).symlink_to(wheel)
    for name in _NEWER:
        write_wheel(folder, name, "999")
    return folder


@pytest.mark.parametrize("which", ["own", "oldest"])
@pytest.mark.parametrize("wanted", ["runs", "whole"])
def test_the_locked_releases_and_no_others(
    tmp_path: Path, index: Path, environ: dict[str, str], which: str, wanted: str
) -> None:
    options, locked = ((), RUNS) if wanted == "runs" else (("--whole",), WHOLE)
    pips = bundled_pips()
    python = sys.executable if which == "own" else str(stand_in(tmp_path / "python", pips[min(pips)]))
    source = copy_of_the_source(tmp_path / "source")
    shutil.copy(SOURCE / "install.sh", source)
    settings = environ | {"PYTHON": python, "PIP_FIND_LINKS": str(index)}
    run("sh", source / "install.sh", *options, tmp_path / "installed", environ=settings)
    programs = tmp_path / "installed" / "bin"
    listed = json.loads(run(programs / "python", "-m", "pip", "list", "--format=json").stdout)
    installed = {canonicalize_name(entry["name"]): entry["version"] for entry in listed}
    assert {name: version for name, version in installed.items() if name not in {"pip", "setuptools"}} == _here(locked)
    assert run(programs / "trust", "--version", environ=environ).stdout == f"trust {VERSION}\n"
    assert run(programs / "trust-server", "--version", environ=environ).stdout == f"trust-server {VERSION}\n"
