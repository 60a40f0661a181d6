"""The real `trust` as a child process: a person with a home, keys, passphrases and nothing of this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.json_documents import check_printed
from tests.support.loaded_program import Started

COMMAND_SECONDS = 180
SECRETS = {
    "TRUST_ROOT_PASSPHRASE": "Wurzel-Geheimnis-17",
    "TRUST_REPOSITORY_PASSPHRASE": "Ablage-Geheimnis-23",
    "TRUST_RECOVERY_PASSPHRASE": "Notfall-Geheimnis-42",
    "TRUST_BACKUP_PASSPHRASE": "Sicherungs-Geheimnis-58",
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
    """One person at one machine: `folder` is where commands run; the home lies below it.

    `fresh`: whether each command is the start of a program, rather than of one that is already loaded. `seconds`: how
    long one may take.
    """

    module = "trustcli"

    def __init__(
        self,
        folder: Path,
        server: str,
        *,
        environ: Mapping[str, str] | None = None,
        fresh: bool = False,
        seconds: int = COMMAND_SECONDS,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.seconds = seconds
        self.fresh = fresh
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
        return finished(self.start(*arguments, **environ), arguments, expect=expect, seconds=self.seconds)

    def start(self, *arguments: str, **environ: str) -> Started:
        """Start a command and leave it running; `finished` waits for it."""
        whole = {**self.environ, **environ}
        return Started(self.module, arguments, package="trustcli", cwd=self.folder, environ=whole, fresh=self.fresh)

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


def finished(
    started: Started, arguments: Sequence[str], *, expect: int | None = 0, seconds: int = COMMAND_SECONDS
) -> Ran:
    """Wait for a command; no output may hold a secret or a traceback, and JSON is what its schema says."""
    done = started.ended(seconds)
    ran = Ran(command=arguments, status=done.returncode, stdout=done.stdout.decode(), stderr=done.stderr.decode())
    no_secret_in(ran.stdout + ran.stderr)
    assert "Traceback" not in ran.stderr, str(ran)
    assert expect is None or ran.status == expect, str(ran)
    if "--json" in arguments and ran.status >= 0:
        check_printed(arguments, ran.status, ran.stdout)
    return ran


def no_secret_in(text: str) -> None:
    """Raises: AssertionError, without printing the secret once more."""
    found = [name for name, secret in SECRETS.items() if secret in text]
    assert not found, f"an output holds {', '.join(found)}"
