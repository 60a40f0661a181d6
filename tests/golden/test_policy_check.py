"""What `trust policy check` prints, byte for byte: for people, for scripts, and what it warns of.

A change of the output is made on purpose: run the command by hand, read what it prints, and write that here.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.simulator.home import Home, without_network
from tests.simulator.scene import good_collection
from trustdata.wire.tuf import TUF

FOLDER = Path(__file__).parent / "policy_check"
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
IMAGES = (
    "registry.example.com/team/app:1.0",
    "registry.example.com/team/app:1.1",
    f"registry.example.com/team/app@sha256:{'d' * 64}",
    "registry.example.com/team/web:prod-1",
    "registry.example.com/team/web",
    f"registry.example.com/team/web@sha256:{'e' * 64}",
    "mirror.example.net/team/web:prod-1",
    "registry.example.com/trial/app:1.0",
    "registry.example.com/late/app:1.0",
    "registry.k8s.io/pause:3.10",
    "elsewhere.example.com/app:1.0",
    "NO NAME",
)
CASES = {
    "alone": ("policy.toml",),
    "images": ("policy.toml", *IMAGES),
    "distributed": ("--distributed", "nodes.toml"),
}
STATUS = {"images": 5}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    without_network(monkeypatch)
    monkeypatch.chdir(tmp_path)
    for name in ("policy.toml", "nodes.toml"):
        shutil.copyfile(FOLDER / name, tmp_path / name)
        (tmp_path / name).chmod(0o600)
    made = Home(tmp_path, good_collection(TUF).server)
    made.at = NOW
    return made


@pytest.mark.parametrize("name", CASES)
def test_for_people(home: Home, name: str) -> None:
    assert home.run("policy", "check", *CASES[name]) == STATUS.get(name, 0)
    assert home.out == (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    assert home.err == (FOLDER / f"{name}.warnings.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_as_json(home: Home, name: str) -> None:
    assert home.run("policy", "check", *CASES[name], json=True) == STATUS.get(name, 0)
    assert home.out == (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    assert home.err == (FOLDER / f"{name}.warnings.txt").read_text(encoding="utf-8")
