"""`trust demo`, as a newcomer runs it: nothing set up, nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def newcomer(tmp_path: Path) -> TrustUser:
    """Somebody with an empty home and no settings."""
    user = TrustUser(tmp_path / "newcomer", "", fresh=True)
    for name in [name for name in user.environ if name.startswith("TRUST_")]:
        del user.environ[name]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    user.environ["TMPDIR"] = str(temporary)
    return user


def test_the_demo_shows_the_main_job(newcomer: TrustUser) -> None:
    shown = newcomer.run("demo")
    lines = shown.stderr.splitlines()
    typed = [line for line in lines if line.startswith("$ trust ")]
    for command in ("init", "sign", "verify", "inspect --pretty", "key rotate root", "signer add", "revoke"):
        assert any(line.startswith(f"$ trust {command}") for line in typed), command
    assert "Signatures for 127.0.0.1:" in shown.stdout
    assert "/demo/app@sha256:" in shown.stdout
    for sentence in (
        "/demo/app has no trust data",
        "is signed as sha256:",
        "timestamp version",
        "(exit status 3, as it should be)",
        "(exit status 4, as it should be)",
        "That was all of it",
    ):
        assert sentence in shown.stderr, sentence
    assert not list(Path(newcomer.environ["TMPDIR"]).iterdir())
    assert [path.name for path in newcomer.folder.iterdir()] == []


@pytest.mark.long
def test_the_demo_in_one_json_document(newcomer: TrustUser) -> None:
    shown = newcomer.run("--json", "demo")
    assert json.loads(shown.stdout) == {"demo": "done", "exit": 0}
