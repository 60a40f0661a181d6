"""Names that somebody else has chosen do not reach the terminal raw."""

from __future__ import annotations

from pathlib import Path

from tests.support.trust_program import TrustUser


def test_the_name_of_a_key(tmp_path: Path) -> None:
    user = TrustUser(tmp_path / "user", "http://127.0.0.1:1")
    user.run("key", "generate", "k")
    user.run("key", "export", "k", "--plain", "-o", "k.pem")
    user.run("key", "remove", "--yes", "k")
    loaded = user.run("key", "load", "k.pem", "--name", "\x1b[2Jclean")
    listed = user.run("key", "list")
    assert "\x1b" not in listed.stdout + loaded.stdout + loaded.stderr
    assert "\\x1b[2Jclean" in listed.stdout
