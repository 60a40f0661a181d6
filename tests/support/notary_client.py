"""Debian's `notary` as a child process: a person with a trust folder and nothing of this machine."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.programs import program
from tests.support.trust_servers import PeerServer

COMMAND_SECONDS = 120
ROOT_PASSPHRASE = "rootpass1"
REPOSITORY_PASSPHRASE = "repositorypass1"
"""Of all keys but root's: docker has no others."""
PASSPHRASES = {
    "NOTARY_ROOT_PASSPHRASE": ROOT_PASSPHRASE,
    "NOTARY_TARGETS_PASSPHRASE": REPOSITORY_PASSPHRASE,
    "NOTARY_SNAPSHOT_PASSPHRASE": REPOSITORY_PASSPHRASE,
    "NOTARY_DELEGATION_PASSPHRASE": REPOSITORY_PASSPHRASE,
}
_ROW = re.compile(r"(\S.*?) {4,}([0-9a-f]{64}) {4,}([0-9]+) {4,}(\S+)")


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A line of `notary list`; `digest` is bare hex."""

    digest: str
    size: int
    role: str


class NotaryUser:
    """One person: `folder` is where commands run, `trust` the trust folder below it."""

    def __init__(self, folder: Path, server: PeerServer, *, trust: Path | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.trust = trust or folder / "trust"
        self.server = server
        self._program = program("notary")

    def run(self, *arguments: str, stdin: str = "") -> str:
        """What a command that succeeds prints, on both streams."""
        done = self._run(arguments, stdin)
        assert done.returncode == 0, f"notary {' '.join(arguments)} -> {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def refused(self, *arguments: str, stdin: str = "") -> str:
        """What a command that fails prints, on both streams."""
        done = self._run(arguments, stdin)
        assert done.returncode == 1, f"notary {' '.join(arguments)} -> {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def status(self, *arguments: str) -> int:
        """The exit status of a command of which either end is expected."""
        return self._run(arguments, "").returncode

    def ended(self, *arguments: str) -> tuple[int, str]:
        """The exit status of a command of which either end is expected, and what it prints, on both streams."""
        done = self._run(arguments, "")
        return done.returncode, done.stdout + done.stderr

    def add(self, gun: str, tag: str, *, into: str | tuple[str, ...] = (), publish: bool = True) -> str:
        """Sign a tag, under the digest of its own name; returns the digest."""
        digest = digest_of(tag)
        roles = [part for role in ([into] if isinstance(into, str) else into) for part in ("-r", role)]
        self.run("addhash", gun, tag, "10", "--sha256", digest, *roles, *(["-p"] if publish else []))
        return digest

    def listed(self, gun: str, *roles: str) -> dict[str, Listed]:
        """`notary list`: by name."""
        printed = self.run("list", gun, *(part for role in roles for part in ("-r", role)))
        rows = [_ROW.fullmatch(line.rstrip()) for line in printed.splitlines()]
        return {row[1]: Listed(digest=row[2], size=int(row[3]), role=row[4]) for row in rows if row}

    def rotate(self, gun: str, role: str, *options: str) -> str:
        """`notary key rotate`; "yes" to the question that it asks for root."""
        return self.run("key", "rotate", gun, role, *options, stdin="yes\n")

    def signed(self, gun: str, role: str) -> dict[str, Any]:
        """The payload of a file in the cache."""
        document: dict[str, Any] = json.loads(self.metadata(gun).joinpath(f"{role}.json").read_bytes())
        return dict(document["signed"])

    def metadata(self, gun: str) -> Path:
        """The folder of the cached files of a collection."""
        return self.trust / "tuf" / gun / "metadata"

    def keys(self, role: str) -> set[str]:
        """Ids of the private keys that this person holds for a role, of whatever collection."""
        rows = [line.split() for line in self.run("key", "list").splitlines()]
        return {row[-2] for row in rows if len(row) > 2 and row[0] == role}

    def copy(self, name: str) -> NotaryUser:
        """The same person at a second machine: a copy of everything there is now."""
        other = NotaryUser(self.folder.with_name(name), self.server)
        shutil.copytree(self.trust, other.trust, dirs_exist_ok=True)
        return other

    def _run(self, arguments: tuple[str, ...], stdin: str) -> subprocess.CompletedProcess[str]:
        common = ["-s", self.server.url, "--tlscacert", str(self.server.ca), "-d", str(self.trust)]
        return subprocess.run(
            [self._program, *common, *arguments],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **PASSPHRASES},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )


NotaryPeople = Callable[[str], NotaryUser]


def digest_of(tag: str) -> str:
    """What tests sign under a tag."""
    return hashlib.sha256(tag.encode()).hexdigest()


@pytest.fixture
def notary_people(tmp_path: Path, peer_server: PeerServer) -> NotaryPeople:
    """Persons by name, each with a trust folder of her own."""
    return lambda name: NotaryUser(tmp_path / name, peer_server)


@pytest.fixture
def notary_owner(notary_people: NotaryPeople) -> NotaryUser:
    """Who is about to make a collection."""
    return notary_people("owner")


@pytest.fixture
def publisher(notary_owner: NotaryUser, collection: str) -> NotaryUser:
    """The owner, who has made the collection; her client holds the snapshot key, as `notary init` does it."""
    notary_owner.run("init", collection, "-p")
    return notary_owner


@pytest.fixture
def reader(notary_people: NotaryPeople) -> NotaryUser:
    """Who has nothing yet."""
    return notary_people("reader")
