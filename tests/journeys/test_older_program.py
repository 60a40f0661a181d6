"""Two versions of the programs on one TRUST_HOME and one server's data, in turns (ADR 0072).

The older one is the first whose files have versions, out of this repository's history.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

import pytest

from tests.support.programs import free_port, running
from tests.support.server_process import ServerProcess
from tests.support.stage import Put
from tests.support.trust_program import COMMAND_SECONDS, TrustUser, no_secret_in

pytestmark = [pytest.mark.long, pytest.mark.allow_hosts(["127.0.0.1"])]

OLDER: Final = "ddc6ded6e7dfa8aea8eb6c4a123375f6a192715b"
ROOT: Final = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of the older program."""
    folder = tmp_path_factory.mktemp("older")
    packages = ("keys", "trustdata", "trustcli", "trustserver")
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", OLDER, *packages], capture_output=True, check=False, timeout=60
    )
    if archive.returncode:
        pytest.skip(f"commit {OLDER[:8]} is not in the history of this clone")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


class OlderUser(TrustUser):
    """The same person, with the older program."""

    def __init__(self, user: TrustUser, source: Path) -> None:
        self.__dict__ |= user.__dict__
        self.source = source

    def old(self, *arguments: str, expect: int = 0) -> str:
        """Run one command of the older program; what it has printed."""
        done = subprocess.run(
            [sys.executable, "-m", "trustcli", *arguments],
            cwd=self.folder,
            env={**self.environ, "PYTHONPATH": str(self.source), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        no_secret_in(done.stdout + done.stderr)
        assert (done.returncode, "Traceback" in done.stderr) == (expect, False), done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def both(owner: TrustUser, older: Path) -> OlderUser:
    return OlderUser(owner, older)


@pytest.mark.parametrize("wire", ["tuf", "notary"])
def test_one_home_serves_both_in_turns(both: OlderUser, gun: str, put: Put, wire: str) -> None:
    digests = [put(tag).digest for tag in ("1.0", "2.0", "3.0", "4.0")]
    both.old("init", gun, "--no-recovery-key", "--format", wire)
    both.run("sign", f"{gun}:1.0")
    both.old("sign", f"{gun}:2.0")
    both.run("key", "rotate", "targets", gun)
    both.old("sign", f"{gun}:3.0")
    both.old("key", "rotate", "root", gun)
    both.run("sign", f"{gun}:4.0")
    for number, digest in enumerate(digests, start=1):
        wanted = f"{gun}@{digest}"
        assert both.run("verify", f"{gun}:{number}.0").stdout.strip() == wanted
        assert both.old("verify", f"{gun}:{number}.0").strip() == wanted
    assert both.old("pins").split()[-1] == both.run("pins").stdout.split()[-1]
    both.run("lock", gun)
    both.old("verify", f"{gun}:1.0")
    both.old("lock", gun)
    both.run("verify", f"{gun}:1.0")
    assert both.old("key", "list").count("\ttargets\t") == both.run("key", "list").stdout.count("\ttargets\t")


def test_an_entry_for_a_key_elsewhere_is_refused_by_name_and_stays(both: OlderUser) -> None:
    both.run("key", "generate", "alice")
    (entry,) = (ROOT / "tests" / "golden" / "trust_home_2" / "private").glob("*.key")
    put_there = both.home / "private" / entry.name
    put_there.write_bytes(entry.read_bytes())
    put_there.chmod(0o600)
    both.run("key", "list")
    for command in (["key", "list"], ["key", "generate", "bob"], ["key", "remove", "hsm", "--yes"]):
        both.old(*command, expect=8)
    assert put_there.read_bytes() == entry.read_bytes()


def test_a_server_goes_on_with_the_data_of_the_older_one(tmp_path: Path, older: Path, gun: str, put: Put) -> None:
    port, data = free_port(), tmp_path / "data"
    command = [sys.executable, "-m", "trustserver", "serve", "--listen", f"127.0.0.1:{port}", "--data", str(data)]
    environ = {**os.environ, "PYTHONPATH": str(older), "PYTHONDONTWRITEBYTECODE": "1"}
    owner = TrustUser(tmp_path / "owner", f"http://127.0.0.1:{port}")
    digests = [put(tag).digest for tag in ("1.0", "2.0")]
    with running(command, port=port, log=tmp_path / "older.log", environ=environ):
        owner.run("init", gun, "--no-recovery-key")
        owner.run("sign", f"{gun}:1.0")
    newer = ServerProcess(data)
    try:
        newer.start()
        owner.environ["TRUST_SERVER"] = newer.url
        owner.run("sign", f"{gun}:2.0")
        for tag, digest in zip(("1.0", "2.0"), digests, strict=True):
            assert owner.run("verify", f"{gun}:{tag}").stdout.strip() == f"{gun}@{digest}"
    finally:
        newer.kill()
