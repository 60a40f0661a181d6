"""Tokens of SoftHSM2 in a folder of their own, and cases that run on them in a process of their own.

A PKCS#11 module is loaded into the process that uses it and reads its configuration then, and one that crashes takes
the process along. So no test loads one itself.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

MODULE: Final = "/usr/lib/softhsm/libsofthsm2.so"
QUERY: Final = f"?module-path={MODULE}"
PIN: Final = "4711-of-the-token"
"""So long that no output holds it by chance."""
SO_PIN: Final = "so-0815-of-the-token"
_SECONDS: Final = 180


class SoftHsm:
    """A folder of tokens."""

    def __init__(self, folder: Path) -> None:
        missing = [name for name in ("softhsm2-util",) if shutil.which(name) is None]
        if missing or not Path(MODULE).exists():
            pytest.skip("softhsm2 is not installed")
        pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        self.tokens = folder / "tokens"
        self.tokens.mkdir()
        self.configuration = folder / "softhsm2.conf"
        self.configuration.write_text(
            f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
        )

    @property
    def environ(self) -> dict[str, str]:
        """What a process needs that uses the tokens, with the PIN of all of them."""
        return {"SOFTHSM2_CONF": str(self.configuration), "TRUST_TOKEN_PIN": PIN}

    def make(self, label: str, pin: str = PIN) -> str:
        """Make a token, and return its serial number."""
        before = set(self.tokens.iterdir())
        subprocess.run(
            ["softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", SO_PIN, "--pin", pin],
            env={**os.environ, **self.environ},
            check=True,
            capture_output=True,
            timeout=_SECONDS,
        )
        (made,) = set(self.tokens.iterdir()) - before
        found = re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-([0-9a-f]{4})-([0-9a-f]{12})", made.name)
        assert found is not None, made.name
        return f"{found[1]}{found[2]}"

    def run(self, case: str, *arguments: str, expect: int = 0, module: str = "token_cases") -> str:
        """Run a case of `tests.support.token_cases` in a process of its own; return what it printed.

        `module`: another one of `tests.support` that has cases.
        """
        environ = {**os.environ, **self.environ}
        if not environ.get("PYTHONPATH"):
            environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
        done = subprocess.run(
            [sys.executable, "-m", f"tests.support.{module}", case, *arguments],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        assert done.returncode == expect, f"{case} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        assert PIN not in done.stdout + done.stderr
        return done.stdout
