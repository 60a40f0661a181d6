"""`make packages`: the same bytes wherever and whenever they are built, and nothing in them that nobody needs."""

from __future__ import annotations

import os
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Final

from tests.support.building import PACKAGES, SOURCE, VERSION, copy_of_the_source, make_packages, run, tool

_ABOUT: Final = f"content_trust-{VERSION}.dist-info"


def _files_that_run() -> set[str]:
    """Modules of the four packages, what says that three of them have types, and the one file beside that is read."""
    modules = {str(path.relative_to(SOURCE)) for name in PACKAGES for path in (SOURCE / name).rglob("*.py")}
    typed = {f"{name}/py.typed" for name in ("keys", "trustdata", "trustcli")}  # trustcli.api, and what it exports
    return {*modules, *typed, "trustserver/storage/migrations/script.py.mako"}


def _built(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_two_builds_are_the_same_bytes(dist: Path, tmp_path: Path) -> None:
    """Other folder, times, permissions, time zone, umask and epoch, and files that lie about, change nothing."""
    other = copy_of_the_source(tmp_path / "another-folder")
    (other / "keys" / "__pycache__").mkdir()
    for litter in (
        "keys/__pycache__/material.cpython-311.pyc",
        "keys/private.pem",
        "trustcli/.material.py.swp",
        "x.py",
    ):
        (other / litter).write_text("litter")
    for path in other.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
        os.utime(path, (1_000_000_000, 1_000_000_000))
    environ = {"PATH": os.environ["PATH"], "TZ": "Asia/Kathmandu", "SOURCE_DATE_EPOCH": "1700000000"}
    umask = os.umask(0o077)
    try:
        again = make_packages(other, environ)
    finally:
        os.umask(umask)
    assert _built(again) == _built(dist)
    assert len(_built(dist)) == 3


def test_the_wheel_holds_what_runs(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = Parser().parsestr(archive.read(f"{_ABOUT}/METADATA").decode())
    about = {name for name in names if name.startswith(f"{_ABOUT}/")}
    assert names - about == _files_that_run()
    assert {name.rpartition("/")[2] for name in about} == {"METADATA", "WHEEL", "RECORD", "LICENSE", "entry_points.txt"}
    assert metadata["Requires-Python"] == ">=3.11"
    classifiers = metadata.get_all("Classifier") or []
    assert [line.rpartition(" ")[2] for line in classifiers if "Python :: 3." in line] == ["3.11", "3.12", "3.13"]


def test_the_source_distribution_holds_what_a_build_needs(dist: Path, tmp_path: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
        archive.extractall(tmp_path, filter="data")
    texts = {"LICENSE", "README.md", "PKG-INFO", "pyproject.toml", ".gitignore"}
    assert names == _files_that_run() | texts
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    environ = {"PATH": os.environ["PATH"]}
    run(
        tool("hatchling"),
        "build",
        "--directory",
        tmp_path / "wheel",
        "--target",
        "wheel",
        cwd=unpacked,
        environ=environ,
    )
    (wheel,) = dist.glob("*.whl")
    assert (tmp_path / "wheel" / wheel.name).read_bytes() == wheel.read_bytes()


def test_the_lock_beside_the_wheel_names_it_and_what_runs(dist: Path) -> None:
    """Every line has a hash; the wheel is the first that is named, and what only builds is not."""
    (wheel,) = dist.glob("*.whl")
    lock = (dist / "requirements.lock").read_text()
    digest = run(
        sys.executable, "-c", f"import hashlib; print(hashlib.sha256(open({str(wheel)!r}, 'rb').read()).hexdigest())"
    )
    assert lock.startswith(f"content-trust=={VERSION} --hash=sha256:{digest.stdout.strip()}\n")
    assert "hatchling" not in lock
    runs, _, _ = (SOURCE / "requirements.lock").read_text().partition("# What builds")
    assert lock.partition("\n")[2] == runs
