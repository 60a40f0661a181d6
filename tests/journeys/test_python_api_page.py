"""Every example of the page about the Python API runs, in order, and says what its comments say."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.stage import Put
from tests.support.trust_program import SECRETS, TrustUser

_PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "reference" / "python-api.md"
_EXAMPLES: Final = re.findall(r"^```python\n(.*?)^```$", _PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
_TEAM: Final = "registry.example.com/team"
_ASKED: Final = {
    "trust-targets": "TRUST_REPOSITORY_PASSPHRASE",
    "trust-signer": "TRUST_REPOSITORY_PASSPHRASE",
    "trust-root": "TRUST_ROOT_PASSPHRASE",
    "trust-recovery": "TRUST_RECOVERY_PASSPHRASE",
}


def test_the_examples_of_the_page(
    owner: TrustUser, gun: str, put: Put, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    image = put("1.0", repository=f"{gun}/app")
    put("1.0", repository=f"{gun}/tool")
    for name in ("app", "tool"):
        owner.run("init", f"{gun}/{name}", "--no-recovery-key")
    owner.run("key", "generate", "alice")
    owner.run("signer", "add", "alice", f"{gun}/app", "--key", "alice.pub")
    owner.run("sign", f"{gun}/app:1.0")
    for name, value in owner.environ.items():
        if name not in SECRETS:
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)  # the recovery key is written there
    said = io.StringIO()
    namespace: dict[str, Any] = {"read_secret": lambda name: SECRETS[_ASKED[name]]}
    with contextlib.redirect_stdout(said):
        for example in _EXAMPLES:
            exec(compile(example.replace(_TEAM, gun), str(_PAGE), "exec"), namespace)
    assert len(_EXAMPLES) == 5
    assert said.getvalue().splitlines() == [
        f"run {gun}/app@{image.digest}",
        f"{gun}/app:0.9 not-signed",
        f"1.0 {image.digest} alice",
        f"{gun}/app:1.0@{image.digest}",
        f"{gun}/tool:1.0@{image.digest}",
        f"{gun}/new {owner.pin_of(f'{gun}/new')}",
    ]
    assert namespace["digest"] == image.digest
