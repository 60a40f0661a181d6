"""kill -9 of a run over many collections at every call with which it changes files or talks to a server.

Whatever the moment: the same command again ends in the same state as a run that nobody has killed, in both formats.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keys.algorithms import key_fingerprint
from keys.filestore import FileKeyStore
from tests.support.dying_trust import FEW, DyingTrust, moments
from tests.support.images import build_image
from tests.support.programs import RunningProgram, push
from tests.support.server_process import ServerProcess
from tests.support.stage import People
from tests.support.trust_program import TrustUser
from tests.support.tuf_client import TufClient

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

ONE_BY_ONE = 1
"""With one job the calls come in one order, so that every one of them can be hit."""

COMMANDS: dict[str, tuple[str, ...]] = {
    "root": ("key", "rotate", "root", "--all-with", "{root}"),
    "targets": ("key", "rotate", "targets", "--glob", "{glob}"),
    "snapshot": ("key", "rotate", "snapshot", "--glob", "{glob}"),
    "rotate alice": ("signer", "rotate", "alice", "--glob", "{glob}"),
    "remove alice": ("signer", "remove", "alice", "--everywhere", "--glob", "{glob}"),
}


@pytest.fixture(scope="module")
def dying() -> Iterator[DyingTrust]:
    trust = DyingTrust()
    yield trust
    trust.close()


@dataclass(frozen=True, kw_only=True)
class Team:
    """An owner of two collections, with one root key; alice has signed 1.0 in both."""

    owner: TrustUser
    names: list[str]
    server: ServerProcess

    def words(self, command: str, jobs: int) -> list[str]:
        places = {"root": self.root_key, "glob": f"{self.names[0].rpartition('/')[0]}/*"}
        return [*(word.format(**places) for word in COMMANDS[command]), "--jobs", str(jobs), "--yes"]

    @property
    def root_key(self) -> str:
        return next(info.keyid for info in self.store.list() if info.purpose == "root" and not info.retired)

    @property
    def store(self) -> FileKeyStore:
        return FileKeyStore(self.owner.home / "private")

    def end(self) -> dict[str, Any]:
        """What is there at the end, apart from the keys themselves: versions, how many keys, and which are new."""
        stored = {key_fingerprint(info.public): info for info in self.store.list()}
        retired = sum(info.retired for info in stored.values())
        answers = [json.loads(self.server.get(f"/api/v1/collections/{name}")[1]) for name in self.names]
        documents = [json.loads(self.owner.run("inspect", name).stdout) for name in self.names]
        return {
            "versions": [answer["versions"] for answer in answers],
            "keys": [_counts(document) for document in documents],
            "store": (len(stored), retired),
            "journals": len(list((self.owner.home / "bulk").glob("*.journal"))),
        }


def _counts(document: Any) -> Any:
    """The document of `trust inspect` with each key id as the place where it first appears."""
    ids: dict[str, int] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(each) for name, each in value.items() if "expires" not in name}
        if isinstance(value, list):
            return [plain(each) for each in value]
        if isinstance(value, str) and len(value) == 64:
            return ids.setdefault(value, len(ids))
        return None if isinstance(value, str) and "127.0.0.1" in value else value

    return plain(document)


@pytest.fixture
def team(
    people: People, gun: str, shared_registry: RunningProgram, trust_server: ServerProcess, tmp_path: Path
) -> Callable[[str, str], Team]:
    image = build_image(tmp_path / "layout", text="1.0")

    def make(mark: str, form: str) -> Team:
        owner = people(f"owner-{mark}")
        names = [f"{gun}/{mark}/{letter}" for letter in "ab"]
        owner.run("key", "generate", "alice")
        owner.run("init", *names, "--no-recovery-key", "--format", form)
        owner.run("signer", "add", "alice", *names, "--key", "alice.pub")
        for name in names:
            push(image, shared_registry, name.partition("/")[2], "1.0")
        owner.run("sign", *(f"{name}:1.0" for name in names))
        return Team(owner=owner, names=names, server=trust_server)

    return make


@pytest.mark.parametrize(
    ("few", "jobs"),
    [
        pytest.param(FEW, ONE_BY_ONE, id="some-moments"),
        pytest.param(None, ONE_BY_ONE, marks=pytest.mark.long, id="every-moment"),
        pytest.param(2 * FEW, 2, marks=pytest.mark.long, id="both-at-a-time"),
    ],
)
@pytest.mark.parametrize(
    "command",
    [pytest.param(name, marks=[] if name == "root" else pytest.mark.long) for name in COMMANDS],
)
@pytest.mark.parametrize("form", ["tuf", pytest.param("notary", marks=pytest.mark.long)])
def test_the_same_command_again_ends_in_the_same_state(
    *,
    dying: DyingTrust,
    team: Callable[[str, str], Team],
    form: str,
    command: str,
    few: int | None,
    jobs: int,
    tmp_path: Path,
) -> None:
    whole = team("whole", form)
    calls = dying.done(whole.owner, *whole.words(command, jobs)).calls
    expected = whole.end()
    for moment in moments(calls, few):
        killed = team(f"n{moment}", form)
        words = killed.words(command, jobs)
        dying.killed(killed.owner, *words, die_before=moment, at_latest=0 if jobs == ONE_BY_ONE else calls * 3 // 4)
        for name in killed.names:
            assert killed.owner.run("verify", f"{name}:1.0").stdout.startswith(name)
        if killed.end() != expected:  # else it was killed when everything was done
            dying.done(killed.owner, *words)
            assert killed.end() == expected, f"killed before call {moment} of {calls}"
        if form == "tuf":
            for name in killed.names:
                client = TufClient(tmp_path / f"{moment}{name[-1]}", killed.server.url, name)
                assert client.digest_of("1.0") is not None
