"""The wheel alone: with pip, pipx and uv, from a folder as index, and what is installed then runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.building import VERSION, run, tool


@pytest.fixture
def index(environ: dict[str, str], locked_wheels: Path) -> dict[str, str]:
    """The environment of somebody whose index holds the locked wheels, whatever tool asks."""
    folder = str(locked_wheels)
    return environ | {
        "PIP_FIND_LINKS": folder,
        "PIP_NO_COMPILE": "1",
        "UV_FIND_LINKS": folder,
        "UV_NO_INDEX": "1",
        "UV_NO_CONFIG": "1",
        "UV_OFFLINE": "1",
        "UV_PYTHON": sys._base_executable,  # type: ignore[attr-defined]
        "UV_PYTHON_DOWNLOADS": "never",
    }


def _runs(programs: Path, environ: dict[str, str]) -> None:
    """Both programs start, and a verdict that cannot be had is an error in one sentence."""
    assert run(programs / "trust", "--version", environ=environ).stdout == f"trust {VERSION}\n"
    assert run(programs / "content-trust", "--version", environ=environ).stdout == f"trust {VERSION}\n"
    assert run(programs / "trust-server", "--version", environ=environ).stdout == f"trust-server {VERSION}\n"
    image = "127.0.0.1:5000/demo/app:1.0"
    verdict = run(programs / "trust", "verify", "--server", "http://127.0.0.1:9", image, environ=environ, status=6)
    assert verdict.stdout == ""
    assert verdict.stderr.startswith(f"error: {image}: http://127.0.0.1:9 cannot be reached: ")
    assert not (programs / "hatchling").exists()


@pytest.mark.long
def test_pip(dist: Path, index: dict[str, str], tmp_path: Path) -> None:
    """Without a lock, as `pip install content_trust-*.whl`."""
    (wheel,) = dist.glob("*.whl")
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    run(sys.executable, "-m", "pip", "--python", environment, "install", wheel, environ=index)
    _runs(environment / "bin", index)


def test_pipx(dist: Path, index: dict[str, str]) -> None:
    (wheel,) = dist.glob("*.whl")
    run(tool("pipx"), "install", wheel, environ=index)
    _runs(Path(index["HOME"]) / ".local" / "bin", index)


def test_uv(dist: Path, index: dict[str, str]) -> None:
    (wheel,) = dist.glob("*.whl")
    run(tool("uv"), "tool", "install", wheel, environ=index)
    _runs(Path(index["HOME"]) / ".local" / "bin", index)


def test_what_make_packages_leaves_installs_by_hash(dist: Path, index: dict[str, str], tmp_path: Path) -> None:
    """The wheel and the lock beside it, as docs/guides/ci.md says; a wheel with other bytes is refused."""
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    folder = tmp_path / "content-trust"
    folder.mkdir()
    wheel = f"content_trust-{VERSION}-py3-none-any.whl"
    for name in ("requirements.lock", wheel):
        (folder / name).write_bytes((dist / name).read_bytes())
    with (folder / wheel).open("ab") as file:
        file.write(b"another")
    found = f"{index['PIP_FIND_LINKS']} {folder}"
    install = (sys.executable, "-m", "pip", "--python", environment, "install", "--require-hashes", "--no-deps")
    refused = run(*install, "-r", folder / "requirements.lock", environ=index | {"PIP_FIND_LINKS": found}, status=1)
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in refused.stderr
    assert f"content-trust=={VERSION} from file://" in refused.stderr
    assert not (environment / "bin" / "trust").exists()
