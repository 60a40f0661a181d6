"""One rule for every command that takes several names (ADR 0067): the table of commands, in both formats."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.journeys.hostile import Serve, fetched
from tests.support.hostile_server import Request, Wire, reply
from tests.support.images import build_image
from tests.support.programs import RunningProgram, push
from tests.support.server_process import ServerProcess
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

TAGS = ("1.0", "2.0")
Words = Callable[[list[str]], list[str]]
"""Gets names, and returns the command line."""


def _rotation(role: str) -> Words:
    return lambda names: ["key", "rotate", role, *names]


CHANGING: dict[str, Words] = {
    **{f"key rotate {role}": _rotation(role) for role in ("root", "targets", "snapshot", "timestamp")},
    "signer add": lambda names: ["signer", "add", "carol", *names, "--key", "carol.pub"],
    "signer remove": lambda names: ["signer", "remove", "alice", *names],
    "renew": lambda names: ["renew", *names, "--within", "4000d"],
    "sign": lambda names: ["sign", *(f"{name}:2.0" for name in names)],
    "revoke": lambda names: ["revoke", "--yes", *(f"{name}:1.0" for name in names)],
}
CHECKED: dict[str, Words] = {
    **CHANGING,
    "revoke --signer": lambda names: ["revoke", "--yes", "--signer", "alice", *names],
}


@dataclass(frozen=True, kw_only=True)
class Town:
    """An owner with two collections of one format: alice may sign, 1.0 is signed, 2.0 is in the registry."""

    server: ServerProcess
    owner: TrustUser
    names: list[str]

    @property
    def unknown(self) -> str:
        """A name that nobody knows, in trust server and registry."""
        return f"{self.names[0]}-none"

    def state(self) -> tuple[list[str], dict[str, bytes]]:
        """All that the server keeps of collections, and all keys and pins of the owner."""
        with contextlib.closing(sqlite3.connect(self.server.data / "trust.db")) as connection:
            kept = [line for line in connection.iterdump() if not line.startswith('INSERT INTO "clock"')]
        files = [*(self.owner.home / "private").glob("*"), self.owner.home / "pins.toml"]
        return kept, {path.name: path.read_bytes() for path in files}

    def states(self, command: list[str], *, expect: int) -> dict[str, str]:
        """Run a command with `--json`; the state of each name."""
        rows = self.owner.run("--json", *command, expect=expect).document()["collections"]
        assert len({row["gun"] for row in rows}) == len(rows)
        return {row["gun"]: row["state"] for row in rows}


def town(folder: Path, server: ServerProcess, registry: RunningProgram, mark: str, format_: str) -> Town:
    owner = TrustUser(folder / "owner", server.url)
    names = [f"{registry.netloc}/several-{mark}-{format_}-{letter}" for letter in "ab"]
    for name in ("alice", "carol"):
        owner.run("key", "generate", name)
    for name in names:
        for tag in TAGS:
            push(build_image(folder / f"layout-{name[-1]}-{tag}", text=tag), registry, name.partition("/")[2], tag)
        owner.run("init", name, "--no-recovery-key", "--format", format_)
    owner.run("signer", "add", "alice", *names, "--key", "alice.pub")
    owner.run("sign", *(f"{name}:1.0" for name in names))
    return Town(server=server, owner=owner, names=names)


@pytest.fixture(scope="module", params=["tuf", pytest.param("notary", marks=pytest.mark.long)])
def unchanged(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    trust_server: ServerProcess,
    shared_registry: RunningProgram,
) -> Town:
    """A town of all tests that change nothing in it."""
    format_: str = request.param
    return town(tmp_path_factory.mktemp(format_), trust_server, shared_registry, "unchanged", format_)


@pytest.fixture(params=["tuf", pytest.param("notary", marks=pytest.mark.long)])
def changing(
    request: pytest.FixtureRequest, tmp_path: Path, trust_server: ServerProcess, shared_registry: RunningProgram
) -> Town:
    """A town of the test's own."""
    format_: str = request.param
    return town(tmp_path, trust_server, shared_registry, _mark(request), format_)


def _mark(request: pytest.FixtureRequest) -> str:
    return hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]


# --- all are checked before the first is changed


@pytest.mark.parametrize("order", ["good first", "bad first"])
@pytest.mark.parametrize("command", CHECKED)
def test_one_that_cannot_be_done_holds_back_all(unchanged: Town, command: str, order: str) -> None:
    good, bad = unchanged.names[0], unchanged.unknown
    words = CHECKED[command]([good, bad] if order == "good first" else [bad, good])
    before = unchanged.state()
    document = unchanged.owner.run("--json", *words, expect=3).document()
    assert {row["gun"]: row["state"] for row in document["collections"]} == {good: "not tried", bad: "failed"}
    errors = {row["gun"]: row["error"] and row["error"]["code"] for row in document["collections"]}
    assert errors[good] is None
    assert errors[bad] == document["error"]["code"]
    told = unchanged.owner.run(*words, expect=3)
    told.said(f"{good}: not tried\n", "2 collections: 1 failed, 1 not tried; nothing was sent")
    assert told.stderr.count("error: ") == 1
    assert told.stdout == ""
    assert unchanged.state() == before


@pytest.mark.parametrize("command", CHECKED)
def test_a_wrong_passphrase_is_known_before_anything_is_sent(unchanged: Town, command: str) -> None:
    words = CHECKED[command](unchanged.names)
    before = unchanged.state()
    wrong = dict.fromkeys(("TRUST_ROOT_PASSPHRASE", "TRUST_REPOSITORY_PASSPHRASE"), "wrong-passphrase")
    document = unchanged.owner.run("--json", *words, expect=8, **wrong).document()
    assert {row["state"] for row in document["collections"]} == {"failed", "not tried"}
    assert document["error"]["code"] == "passphrase-wrong"
    assert unchanged.state() == before


@pytest.mark.parametrize("command", CHECKED)
def test_one_that_cannot_be_planned_hides_no_other(unchanged: Town, command: str) -> None:
    good, bad = unchanged.names[0], unchanged.unknown
    words = [word for word in CHECKED[command]([bad, good]) if word != "--yes"]
    plans = unchanged.owner.run("--json", *words, "--plan", expect=3).document()["plans"]
    assert [(plan["gun"], plan["error"] is None) for plan in plans] == [(bad, False), (good, True)]


# --- each is done


def test_a_name_counts_once(changing: Town) -> None:
    first = changing.names[0]
    word = first.rpartition("/")[2]
    changing.owner.run("init", word, "--no-recovery-key")
    for command, words in CHANGING.items():
        assert changing.states(words([first, first]), expect=0) == {first: "done"}, command
    spellings = [word, f"docker.io/library/{word}", f"index.docker.io/library/{word}", f"library/{word}"]
    assert changing.states(CHANGING["renew"](spellings), expect=0) == {f"docker.io/library/{word}": "done"}


def test_done_and_then_nothing_to_do(changing: Town) -> None:
    for command in ("signer add", "sign", "revoke", "signer remove"):
        words = CHANGING[command](changing.names)
        first, second = changing.names
        assert changing.states(CHANGING[command]([first]), expect=0) == {first: "done"}
        assert changing.states(words, expect=0) == {first: "nothing to do", second: "done"}, command
        assert changing.states(words, expect=0) == dict.fromkeys(changing.names, "nothing to do"), command
    assert changing.states(["renew", *changing.names], expect=0) == dict.fromkeys(changing.names, "nothing to do")


def test_collections_are_chosen_by_what_is_known_here(changing: Town) -> None:
    host = changing.names[0].partition("/")[0]
    signed = changing.owner.run("inspect", changing.names[0]).document()[0]["SignedTags"]
    digest = f"sha256:{signed[0]['Digest']}"
    one = ["revoke", "--yes", "--digest", digest, "--glob", f"{changing.names[0]}"]
    assert changing.states(one, expect=0) == {changing.names[0]: "done"}
    both = dict.fromkeys(changing.names, "nothing to do")
    assert changing.states([*one[:-1], f"{host}/*"], expect=0) == {**both, changing.names[1]: "done"}
    assert changing.states([*one[:-2], "--all"], expect=0) == both
    changing.owner.run("--json", "revoke", "--signer", "alcie", "--all", "--yes").said("did you mean 'alice'?")


def test_signing_into_a_collection_that_is_not_there(changing: Town, shared_registry: RunningProgram) -> None:
    good, bad = changing.names[0], changing.unknown
    image = build_image(changing.owner.folder / "further", text="further")
    push(image, shared_registry, bad.partition("/")[2], "2.0")
    words = CHANGING["sign"]([good, bad])
    assert changing.states(words, expect=3) == {good: "not tried", bad: "failed"}
    made = changing.owner.run("--json", *words, "--init", "--no-recovery-key").document()
    assert [row["state"] for row in made["collections"]] == ["done", "done"]
    assert [row["name"].partition(":2.0@")[0] for row in made["images"]] == [good, bad]
    changing.owner.run("verify", *words[1:])
    digests = [row["digest"] for row in made["images"]]
    push(image, shared_registry, good.partition("/")[2], "3.0")
    changing.owner.run("sign", *(f"{good}:3.0@{digest}" for digest in digests), expect=2).said("cannot be signed as")
    assert changing.states(["sign", f"{good}:2.0", f"{good}:2.0"], expect=0) == {good: "nothing to do"}


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize(
    "role",
    ["root", "targets", *(pytest.param(role, marks=pytest.mark.long) for role in ("snapshot", "timestamp"))],
)
def test_one_that_fails_in_the_doing_and_the_same_command_again(
    *, changing: Town, serve: Serve, role: str, stored: bool
) -> None:
    """The publish of the first is refused, or so it is said; the second run does what is left, with the same keys."""
    first, second = changing.names

    def script(request: Request, wire: Wire) -> None:
        publishes = request.method == "POST" and "/keys/" not in request.target and ".key" not in request.target
        refused = publishes and first.partition("/")[2] in request.target
        answer = b"" if refused and not stored else fetched(changing.server.url, request)
        wire.send(reply(403, b"no") if refused else answer)

    words = ["key", "rotate", role, first, second]
    failing = changing.owner.run("--json", "--server", serve(script).url, *words, expect=7).document()
    assert [row["state"] for row in failing["collections"]] == ["failed", "done"]
    assert [row["gun"] for row in failing["rotated"]] == [second]
    keys = changing.owner.key_files().keys()
    left = "nothing to do" if stored else "done"
    assert changing.states(words, expect=0) == {first: left, second: "nothing to do"}
    assert changing.owner.key_files().keys() == keys, "the key that was made for it is used"
    retired = [row for row in changing.owner.run("--json", "key", "list").document()["keys"] if row["retired"]]
    assert len(retired) == {"root": 1, "targets": 2}.get(role, 0)
    assert changing.states(words, expect=0) == dict.fromkeys(changing.names, "done"), "a new rotation"
