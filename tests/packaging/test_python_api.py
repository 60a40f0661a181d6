"""Somebody else's program that uses the Python API: its types are checked against what the wheel holds."""

from __future__ import annotations

import os
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Final

from tests.support.building import run, tool

_PROGRAM: Final = '''
"""A program that embeds us."""

from datetime import datetime, timedelta

from trustcli.api import Inspected, KeysError, NotAllSigned, Signed, Trust, TrustError, UsageError, Verdict


def secret(purpose: str, key: str) -> str | None:
    return None


def main() -> None:
    trust = Trust(home="/home", server="https://trust.example.com", passphrase=secret, notice=print)
    verdicts: list[Verdict] = trust.verify("app:1.0", signers=["alice"], offline=timedelta(hours=1))
    digests: list[str] = [verdict.digest_or_raise() for verdict in verdicts if verdict]
    until: datetime | None = verdicts[0].fresh_until
    found: Inspected = trust.inspect("app")
    tags: dict[str, str] = {tag.tag: tag.digest for tag in found.tags}
    try:
        signed: list[Signed] = trust.sign("app:1.0", signer="alice")
    except NotAllSigned as error:
        codes: list[str] = [failure.code for failure in error.failures.values()]
        print(codes, [image.name for image in error.signed])
    except (TrustError, KeysError, UsageError) as error:
        print(error.code)
    else:
        print(digests, until, tags, signed)
'''
_WRONG: Final = {
    "digest: str = Trust().verify_one('app').digest": "assignment",  # None, where it is not trusted
    "Trust(servr='https://x')": "call-arg",
    "Trust().verify('app', offline=True)": "arg-type",
    "Trust().sign(1)": "arg-type",
}
"""Lines that must be errors: whether there are types at all shows in what is refused."""


def test_types_of_the_installed_package(dist: Path, tmp_path: Path) -> None:
    """The interpreter of a virtual environment that has the wheel, and what it runs on from the developers' set."""
    (wheel,) = dist.glob("*.whl")
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", environ=environ)
    python = tmp_path / "venv" / "bin" / "python"
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (site / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    folder = tmp_path / "program"
    folder.mkdir()
    program = folder / "program.py"
    program.write_text(_PROGRAM)
    cache = tmp_path / "cache"
    checked: list[str | Path] = [tool("mypy"), "--strict", "--python-executable", python, "--cache-dir", cache, program]
    run(*checked, environ=environ, cwd=folder)
    program.write_text("from trustcli.api import Trust\n" + "".join(f"{line}\n" for line in _WRONG))
    told = run(*checked, environ=environ, cwd=folder, status=1).stdout
    for number, code in enumerate(_WRONG.values(), 2):
        assert any(f"program.py:{number}: error" in line and f"[{code}]" in line for line in told.splitlines()), told
