"""The two lines of the tutorial that change a Debian machine, with the real programs and without the change."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.guide_commands import commands
from tests.support.guide_stories import LEFT_OUT, TUTORIAL
from tests.support.programs import program

_UNIT = Path("/usr/lib/systemd/system/docker-registry.service")


def _typed(beginning: str) -> list[str]:
    """The words of the tutorial's command that begins so."""
    (found,) = [each.command for each in commands(TUTORIAL) if each.command.startswith(beginning)]
    assert (TUTORIAL, found) in LEFT_OUT
    return found.removeprefix("sudo ").split()


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_debian_has_what_is_to_be_installed() -> None:
    apt, install, *packages = _typed("sudo apt install ")
    assert (apt, install) == ("apt", "install")
    program("apt-get")
    if not list(Path("/var/lib/apt/lists").glob("*_Packages*")):
        pytest.skip("no list of Debian's packages (apt-get update)")
    simulated = _run("apt-get", "--simulate", install, *packages)
    for package in packages:
        newest = f"{package} is already the newest version" in simulated
        assert newest or f"\nInst {package} " in simulated, package


def test_the_service_is_switched_off(tmp_path: Path) -> None:
    """Of the real unit, below another root. `--now` would also stop it, and needs a machine that systemd runs."""
    systemctl, disable, now, service = _typed("sudo systemctl disable ")
    assert (systemctl, disable, now) == ("systemctl", "disable", "--now")
    program("systemctl")
    if not _UNIT.exists():
        pytest.skip("docker-registry is not installed (make peers)")
    units = tmp_path / "usr/lib/systemd/system"
    units.mkdir(parents=True)
    shutil.copy(_UNIT, units)
    link = tmp_path / "etc/systemd/system/multi-user.target.wants" / _UNIT.name
    _run("systemctl", f"--root={tmp_path}", "enable", service)
    assert link.is_symlink()
    _run("systemctl", f"--root={tmp_path}", disable, service)
    assert not link.is_symlink()
