"""The real `trust` as a child process: a person with a home, keys, passphrases and nothing of this machine."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.cheap_keys import cheap_sealing
from trustcli.__main__ import run

COMMAND_SECONDS = 180
_ONE_AT_A_TIME = threading.Lock()
"""Environment and working directory are the process's; commands that must overlap are started as programs."""
SECRETS = {
    "TRUST_ROOT_PASSPHRASE": "Wurzel-Geheimnis-17",
    "TRUST_REPOSITORY_PASSPHRASE": "Ablage-Geheimnis-23",
    "TRUST_RECOVERY_PASSPHRASE": "Notfall-Geheimnis-42",
}
"""Passphrases that no output holds by chance; every output of every command is searched for them."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What one command did."""

    command: Sequence[str]
    status: int
    stdout: str
    stderr: str

    def document(self) -> Any:
        """Standard output, which must be exactly one JSON document."""
        return json.loads(self.stdout)

    def said(self, *sentences: str) -> Ran:
        """Every sentence stands on standard error."""
        for sentence in sentences:
            assert sentence in self.stderr, f"{self}\nlacks: {sentence}"
        return self

    def __str__(self) -> str:
        return f"trust {' '.join(self.command)} -> {self.status}\n{self.stdout}{self.stderr}"


class TrustUser:
    """One person at one machine: `folder` is where commands run; the home lies below it."""

    module = "trustcli"

    def __init__(self, folder: Path, server: str, *, environ: Mapping[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.home = folder / "home"
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "DOCKER_CONFIG": str(folder / "docker"),
            "TRUST_HOME": str(self.home),
            "TRUST_SERVER": server,
            **SECRETS,
            **(environ or {}),
        }

    def run(self, *arguments: str, expect: int | None = 0, **environ: str) -> Ran:
        """Run one command to its end. `expect` None: the caller looks at the status."""
        return finished(self.start(*arguments, **environ), arguments, expect=expect)

    def arrange(self, *arguments: str, expect: int = 0, **environ: str) -> Ran:
        """Run one command inside this process: a tenth of the time of `run`, for what a test needs beforehand.

        Sockets, files and requests are real, as is everything that the command writes; but the keys that it seals are
        cheap to open, by this process and by every program that is started later.
        """
        return run_here(arguments, folder=self.folder, environ={**self.environ, **environ}, expect=expect)

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        """Start a command and leave it running; `finished` waits for it."""
        return subprocess.Popen(
            [sys.executable, "-m", self.module, *arguments],
            cwd=self.folder,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def pin_of(self, gun: str) -> str:
        """The pin recorded here."""
        rows = self.run("--json", "pins").document()["pins"]
        return str(next(row["pin"] for row in rows if row["gun"] == gun))

    def knows(self, gun: str, pin: str) -> None:
        """Pin a collection, as somebody does who was told its fingerprint."""
        self.run("pin", gun, pin)

    def key_files(self) -> dict[str, bytes]:
        """The content of every key file."""
        return {path.name: path.read_bytes() for path in sorted((self.home / "private").glob("*.key"))}


def finished(process: subprocess.Popen[str], arguments: Sequence[str], *, expect: int | None = 0) -> Ran:
    """Wait for a command; no output may hold a secret or a traceback."""
    with process:
        try:
            stdout, stderr = process.communicate(timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return _judged(Ran(command=arguments, status=process.returncode, stdout=stdout, stderr=stderr), expect)


def run_here(arguments: Sequence[str], *, folder: Path, environ: Mapping[str, str], expect: int | None = 0) -> Ran:
    """Run `trust` in this process as if it were its own: environment, working directory and standard streams."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with (
        _ONE_AT_A_TIME,
        Path(os.devnull).open(encoding="utf-8") as stdin,
        contextlib.chdir(folder),
        _environment(environ),
        cheap_sealing(),
        _ends_with_the_process(),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "stdin", stdin)
        status = run(arguments)
    return _judged(Ran(command=arguments, status=status, stdout=stdout.getvalue(), stderr=stderr.getvalue()), expect)


def _judged(ran: Ran, expect: int | None) -> Ran:
    no_secret_in(ran.stdout + ran.stderr)
    assert "Traceback" not in ran.stderr, str(ran)
    assert expect is None or ran.status == expect, str(ran)
    return ran


@contextlib.contextmanager
def _ends_with_the_process() -> Iterator[None]:
    """Let a command leave connections open, as it may: the end of its process closes them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@contextlib.contextmanager
def _environment(environ: Mapping[str, str]) -> Iterator[None]:
    """Nothing but `environ` is in the environment of this process, and of what it starts."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def no_secret_in(text: str) -> None:
    """Raises: AssertionError, without printing the secret once more."""
    found = [name for name, secret in SECRETS.items() if secret in text]
    assert not found, f"an output holds {', '.join(found)}"
