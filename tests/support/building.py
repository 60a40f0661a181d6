"""Run programs, copy the source and build it, for the tests of what is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

SOURCE: Final = Path(__file__).resolve().parents[2]
PROJECT: Final[dict[str, Any]] = tomllib.loads((SOURCE / "pyproject.toml").read_text(encoding="utf-8"))
VERSION: Final = str(PROJECT["project"]["version"])
PACKAGES: Final = ("keys", "trustdata", "trustserver", "trustcli")
_SECONDS: Final = 300


def run(
    *command: str | Path, environ: dict[str, str] | None = None, cwd: Path | None = None, status: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with this environment and nothing else, and expect this status."""
    done = subprocess.run(
        [str(word) for word in command],
        env=environ,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
        start_new_session=True,
    )
    assert done.returncode == status, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def tool(name: str) -> Path:
    """A program of the developers' set; without it the test is skipped, naming it."""
    path = Path(sys.prefix) / "bin" / name
    if not path.exists():
        pytest.skip(f"{name} is not in {path.parent} (make test installs it)")
    return path


def fetched_wheels() -> Path:
    """The folder of the wheels that the lock files name; without it the test is skipped, naming it."""
    folder = Path(sys.prefix) / "wheels"
    if not (folder / ".complete").exists():
        pytest.skip(f"{folder} does not hold the locked wheels (make test fetches them)")
    return folder


def copy_of_the_source(folder: Path) -> Path:
    """A copy of what a build reads, and of the Makefile."""
    folder.mkdir()
    for name in PACKAGES:
        shutil.copytree(SOURCE / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".gitignore", "LICENSE", "Makefile", "README.md", "pyproject.toml"):
        shutil.copy(SOURCE / name, folder / name)
    for lock in SOURCE.glob("requirements*.lock"):
        shutil.copy(lock, folder / lock.name)
    return folder


def make_packages(source: Path, environ: dict[str, str]) -> Path:
    """`make packages` with the tools of the environment that the tests run in."""
    tool("hatchling")
    run("make", "-C", source, "-o", "whole", "packages", f"BIN={sys.prefix}/bin", environ=environ)
    return source / "dist"
